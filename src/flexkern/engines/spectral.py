"""Transform lengths that the FFT handles fast."""


def fast_length(minimum: int) -> int:
    """Smallest even number >= ``minimum`` whose prime factors are 2, 3 and 5 only (1 stays 1).

    Example:
        >>> fast_length(1538)
        1600
    """
    if minimum <= 1:
        return 1
    best = 1 << (minimum - 1).bit_length()
    five = 1
    while five < best:
        odd = five
        while odd < best:
            # The smallest power of two, at least 2, that lifts the odd part to the minimum.
            ratio = -(-minimum // odd)
            best = min(best, odd * max(1 << (ratio - 1).bit_length(), 2))
            odd *= 3
        five *= 5
    return best
