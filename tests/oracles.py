"""Slow, obvious twins of the library's functions: loops and plain formulas that share no code with src."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor


def loop_convolve(x, weight, bias=None, *, stride, padding, dilation, groups) -> Tensor:
    """Return the cross-correlation, computed one output sample and one tap at a time.

    Shapes: (B, I, *S) and (O, I / groups, *K) to (B, O, *S').
    """
    signal, kernel = x.shape[2:], weight.shape[2:]
    lengths = [
        (n + left + right - d * (k - 1) - 1) // s + 1
        for n, k, s, (left, right), d in zip(signal, kernel, stride, padding, dilation, strict=True)
    ]
    outs, ins = weight.shape[0] // groups, weight.shape[1]  # per group
    outputs = []
    for place in itertools.product(*(range(n) for n in lengths)):
        total = x.new_zeros(x.shape[0], weight.shape[0])
        for tap in itertools.product(*(range(k) for k in kernel)):
            at = [t * s + j * d - p[0] for t, s, j, d, p in zip(place, stride, tap, dilation, padding, strict=True)]
            # Samples removed by negative padding on the right are never read: `lengths` excludes them.
            if all(0 <= a < n for a, n in zip(at, signal, strict=True)):
                sample = x[(..., *at)]
                by_group = []
                for group in range(groups):
                    inputs = sample[:, group * ins : (group + 1) * ins]
                    taps = weight[(slice(group * outs, (group + 1) * outs), slice(None), *tap)]
                    by_group.append(inputs @ taps.T)
                total = total + torch.cat(by_group, dim=1)
        outputs.append(total if bias is None else total + bias)
    return torch.stack(outputs, dim=-1).unflatten(-1, lengths)


def tap_convolve(x, weight, bias=None, *, stride, padding, dilation, groups) -> Tensor:
    """Return the cross-correlation, one tap at a time for all samples: fast enough for many random cases."""
    extended = F.pad(x, [side for pair in reversed(padding) for side in pair])
    kernel = weight.shape[2:]
    lengths = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(extended.shape[2:], kernel, stride, dilation, strict=True)
    ]
    total = x.new_zeros(x.shape[0], weight.shape[0], *lengths)
    for tap in itertools.product(*(range(k) for k in kernel)):
        places = tuple(
            slice(j * d, j * d + (n - 1) * s + 1, s) for j, d, n, s in zip(tap, dilation, lengths, stride, strict=True)
        )
        samples = extended[(..., *places)].unflatten(1, (groups, -1))
        taps = weight[(..., *tap)].unflatten(0, (groups, -1))
        total = total + torch.einsum("bgi...,goi->bgo...", samples, taps).flatten(1, 2)
    return total if bias is None else total + bias.view(-1, *(1,) * len(lengths))


def torch_padding(padding, kernel_size, dilation, *, causal=False) -> list[tuple[int, int]]:
    """Return the padding per axis and side, as nn.ConvNd defines it; 'same' puts the odd sample at the end."""
    spans = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
    if causal:
        return [(span, 0) for span in spans]
    if padding == "same":
        return [(span // 2, span - span // 2) for span in spans]
    if padding == "valid":
        return [(0, 0) for _ in spans]
    amounts = (padding,) * len(spans) if isinstance(padding, int) else padding
    return [(p, p) for p in amounts]


def torch_convolve(x, weight, bias, *, stride, padding, dilation, groups, mode) -> Tensor:
    """Return the result of F.pad in torch's mode, followed by F.convNd."""
    mode = "constant" if mode == "zeros" else mode
    extended = F.pad(x, [side for pair in reversed(padding) for side in pair], mode=mode)
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[weight.dim() - 2]
    return conv(extended, weight, bias, stride=stride, dilation=dilation, groups=groups)


def grid(lengths, *, causal=False) -> Tensor:
    """Return positions (D, *K): -1 + 2 i / (k - 1); a single sample lies at 0, or at +1 on a causal axis."""
    axes = []
    for k in lengths:
        axes.append(torch.tensor(_axis(k, causal=causal), dtype=torch.float64))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def _axis(length, *, causal=False) -> list[float]:
    if length == 1:
        return [1.0 if causal else 0.0]
    return [-1 + 2 * i / (length - 1) for i in range(length)]


def gaussian(positions, centre, width) -> Tensor:
    """Return a Gaussian window of height 1, multiplied up axis by axis."""
    value = torch.ones_like(positions[0])
    for x, c, w in zip(positions, centre, width, strict=True):
        value = value * torch.exp(-((x - c) ** 2) / (2 * w**2))
    return value


def kept_samples(length, extent, *, causal=False) -> list[int]:
    """Return the indices that a crop keeps, from a test of every sample; never empty."""
    xs = _axis(length, causal=causal)
    if causal:
        recent = [i for i, x in enumerate(xs) if x > 1 - extent or extent >= 2]
        return recent or [length - 1]
    central = [i for i, x in enumerate(xs) if abs(x) < extent or extent >= 1]
    middle = [length // 2] if length % 2 else [length // 2 - 1, length // 2]
    return central or middle


def multiplicative_network(points, filters, mixing, readout) -> Tensor:
    """Return R h_L + r with h_0 = g_0 and h_l = g_l (A_l h_{l-1} + c_l), one unit at a time.

    ``filters[l]`` maps a point to the H values of g_l.
    """
    values = []
    for point in points.T:
        hidden = filters[0](point)
        for filter_, (a, c) in zip(filters[1:], mixing, strict=True):
            hidden = [
                g * (sum(w * h for w, h in zip(row, hidden, strict=True)) + k)
                for g, row, k in zip(filter_(point), a, c, strict=True)
            ]
        weight, bias = readout
        values.append(
            [sum(w * h for w, h in zip(row, hidden, strict=True)) + k for row, k in zip(weight, bias, strict=True)]
        )
    return torch.tensor(values, dtype=torch.float64).T


def gabor(point, weight, bias, gamma, mu, angle=None) -> list[float]:
    """Return the values of all atoms of one filter at one point, in scalar arithmetic."""
    values = []
    for j in range(len(bias)):
        offset = [float(point[a] - mu[j][a]) for a in range(len(point))]
        if angle is not None:
            c, s = math.cos(float(angle[j])), math.sin(float(angle[j]))
            offset = [c * offset[0] - s * offset[1], s * offset[0] + c * offset[1]]
        inverse = [float(gamma[j][a if len(gamma[j]) > 1 else 0]) for a in range(len(point))]
        envelope = math.exp(-0.5 * sum((g * o) ** 2 for g, o in zip(inverse, offset, strict=True)))
        phase = sum(float(weight[j][a] * point[a]) for a in range(len(point))) + float(bias[j])
        values.append(envelope * math.sin(phase))
    return values


def self_moving_points(points, position, radius, weight) -> Tensor:
    """Return the kernels (out * in, P) of tents around moving points, one term at a time; differentiable.

    Shapes: ``points`` (D, P), ``position`` (out, M, D), ``radius`` (out, M), ``weight`` (out, in, M).
    """
    kernels = []
    for o in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            values = []
            for x in points.T:
                total, count = torch.zeros((), dtype=torch.float64), 0
                for m in range(weight.shape[2]):
                    distance = sum(abs(x[a] - position[o, m, a]) for a in range(len(x)))
                    tent = 1 - distance / radius[o, m]
                    if tent.item() > 0:
                        total, count = total + weight[o, i, m] * tent, count + 1
                values.append(total / (count + 1e-6))
            kernels.append(torch.stack(values))
    return torch.stack(kernels)


def gaussian_derivative(x: float, sigma: float, order: int) -> float:
    """Return d^n/dx^n of the normal density, from the coefficients of the n-th Hermite polynomial."""
    u, polynomial = x / sigma, 0.0
    for k in range(order // 2 + 1):
        coefficient = math.factorial(order) / (math.factorial(k) * math.factorial(order - 2 * k) * 2**k)
        polynomial += (-1) ** k * coefficient * u ** (order - 2 * k)
    return (-1 / sigma) ** order * polynomial * math.exp(-0.5 * u**2) / (sigma * math.sqrt(2 * math.pi))


def is_smooth(number: int) -> bool:
    """Return whether 2, 3 and 5 are the only prime factors of ``number``."""
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1


SQUASHES = {
    "tanh": lambda z: [math.tanh(v) for v in z],
    "hardtanh": lambda z: [min(max(v, -1.0), 1.0) for v in z],
    "gaussian": lambda z: [math.exp(-v * v) for v in z],
    "softmax": lambda z: [math.exp(v) / sum(math.exp(w) for w in z) for v in z],
    "atan": lambda z: [math.atan(v) for v in z],
    "centred": lambda z: [v - sum(z) / len(z) for v in z],
}
"""Squashing functions from the generator's output for one position to the kernel there, in Python floats."""


def adaptive_convolve(
    x,
    weight,
    beta=None,
    *,
    out_channels,
    kernel,
    generator,
    stride,
    padding,
    dilation,
    groups,
    sharing,
    squash,
    normalize=False,
    gain=None,
    scale=None,
) -> tuple[Tensor, Tensor]:
    """Return output (B, O, *S') and kernels (B, O, I / groups, *K, *S') of an adaptive convolution, number by number.

    Samples outside ``x`` are zero. The patch of size q that the generator reads begins floor((k - q) / 2) taps after
    the patch of size k that the kernel reads.
    """
    ins, outs, signal = x.shape[1] // groups, out_channels // groups, x.shape[2:]
    axes = list(zip(signal, kernel, stride, padding, dilation, strict=True))
    lengths = [(n + left + right - d * (k - 1) - 1) // s + 1 for n, k, s, (left, right), d in axes]
    taps = list(itertools.product(*map(range, kernel)))
    starts = [(k - q) // 2 for k, q in zip(kernel, generator, strict=True)]
    guide_taps = [
        tuple(start + a for start, a in zip(starts, place, strict=True))
        for place in itertools.product(*map(range, generator))
    ]
    signals, weights = x.tolist(), weight.flatten(2).tolist()
    biases, gains, scales = (None if values is None else values.flatten().tolist() for values in (beta, gain, scale))

    def sample(b, c, place, tap):
        value = signals[b][c]
        for p, t, (n, _, s, (left, _), d) in zip(place, tap, axes, strict=True):
            at = p * s + t * d - left
            if not 0 <= at < n:
                return 0.0
            value = value[at]
        return value

    def kernel_row(o, c):
        """Return the index of the kernel of channel ``c`` and output ``o`` among the kernels that are generated."""
        group, output = divmod(o, outs)
        return {
            "pair": c * outs + output,
            "shared": group * outs + output,
            "full": (group * outs + output) * ins + c - group * ins,
        }[sharing]

    def kernel_at(o, c, patches):
        """Return the kernel of channel ``c`` and output ``o`` as a list; the generator reads ``patches``."""
        row, group = kernel_row(o, c), c // ins
        channels = [c] if sharing == "pair" else range(group * ins, (group + 1) * ins)
        responses = []
        for tap_row in range(row * len(taps), (row + 1) * len(taps)):
            pairs = zip(weights[tap_row], (patches[channel] for channel in channels), strict=True)
            response = sum(q * v for row_weight, patch in pairs for q, v in zip(row_weight, patch, strict=True))
            responses.append(response + (biases[tap_row] if biases else 0.0))
        values = SQUASHES[squash](responses)
        if gains:
            values = [k * gains[row * len(taps) + u] for u, k in enumerate(values)]
        if normalize:
            total = sum(abs(k) for k in values)
            values = [k / total for k in values]
        if scales:
            values = [k * scales[row] for k in values]
        return values

    output = torch.zeros(x.shape[0], out_channels, *lengths, dtype=torch.float64)
    kernels = torch.zeros(x.shape[0], out_channels, ins, len(taps), *lengths, dtype=torch.float64)
    for b, place in itertools.product(range(x.shape[0]), itertools.product(*map(range, lengths))):
        guide = [[sample(b, c, place, tap) for tap in guide_taps] for c in range(x.shape[1])]
        samples = [[sample(b, c, place, tap) for tap in taps] for c in range(x.shape[1])]
        for o in range(out_channels):
            first = o // outs * ins
            total = 0.0
            for c in range(first, first + ins):
                kernel_values = kernel_at(o, c, guide)
                total += sum(k * v for k, v in zip(kernel_values, samples[c], strict=True))
                kernels[(b, o, c - first, slice(None), *place)] = torch.tensor(kernel_values, dtype=torch.float64)
            output[(b, o, *place)] = total
    return output, kernels.unflatten(3, kernel)
