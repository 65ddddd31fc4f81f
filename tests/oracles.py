"""Slow, obvious twins of the library's functions: loops and plain formulas, nothing shared with src."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor


def loop_convolve(x, weight, bias=None, *, stride, padding, dilation, groups) -> Tensor:
    """Cross-correlation one output sample and one tap at a time; (B, I, *S), (O, I / groups, *K) -> (B, O, *S')."""
    signal, kernel = x.shape[2:], weight.shape[2:]
    lengths = [
        (n + left + right - d * (k - 1) - 1) // s + 1
        for n, k, s, (left, right), d in zip(signal, kernel, stride, padding, dilation, strict=True)
    ]
    per_group = weight.shape[0] // groups, weight.shape[1]
    outputs = []
    for place in itertools.product(*(range(n) for n in lengths)):
        total = x.new_zeros(x.shape[0], weight.shape[0])
        for tap in itertools.product(*(range(k) for k in kernel)):
            at = [t * s + j * d - p[0] for t, s, j, d, p in zip(place, stride, tap, dilation, padding, strict=True)]
            # Right padding that is negative has cut those samples off already: no output reads them.
            if all(0 <= a < n for a, n in zip(at, signal, strict=True)):
                sample = x[(..., *at)]
                channels = [
                    sample[:, g * per_group[1] : (g + 1) * per_group[1]]
                    @ weight[(slice(g * per_group[0], (g + 1) * per_group[0]), slice(None), *tap)].T
                    for g in range(groups)
                ]
                total = total + torch.cat(channels, dim=1)
        outputs.append(total if bias is None else total + bias)
    return torch.stack(outputs, dim=-1).unflatten(-1, lengths)


def tap_convolve(x, weight, bias=None, *, stride, padding, dilation, groups) -> Tensor:
    """The same, one tap at a time for all samples: fast enough for many random cases."""
    extended = F.pad(x, [side for pair in reversed(padding) for side in pair])
    kernel = weight.shape[2:]
    lengths = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(extended.shape[2:], kernel, stride, dilation, strict=True)
    ]
    total = x.new_zeros(x.shape[0], weight.shape[0], *lengths)
    for tap in itertools.product(*(range(k) for k in kernel)):
        window = tuple(
            slice(j * d, j * d + (n - 1) * s + 1, s) for j, d, n, s in zip(tap, dilation, lengths, stride, strict=True)
        )
        read = extended[(..., *window)].unflatten(1, (groups, -1))
        taken = weight[(..., *tap)].unflatten(0, (groups, -1))
        total = total + torch.einsum("bgi...,goi->bgo...", read, taken).flatten(1, 2)
    return total if bias is None else total + bias.view(-1, *(1,) * len(lengths))


def torch_padding(padding, kernel_size, dilation, *, causal=False) -> list[tuple[int, int]]:
    """Padding per side, as nn.ConvNd means it ('same' puts the odd sample at the end)."""
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
    """F.pad in torch's mode, then F.convNd."""
    mode = "constant" if mode == "zeros" else mode
    extended = F.pad(x, [side for pair in reversed(padding) for side in pair], mode=mode)
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[weight.dim() - 2]
    return conv(extended, weight, bias, stride=stride, dilation=dilation, groups=groups)


def grid(lengths, *, causal=False) -> Tensor:
    """Positions (D, *K): -1 + 2 i / (k - 1); one sample sits at 0, or at the most recent end of a causal axis."""
    axes = []
    for k in lengths:
        only = 1.0 if causal else 0.0
        axes.append(torch.tensor([only] if k == 1 else [-1 + 2 * i / (k - 1) for i in range(k)], dtype=torch.float64))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def gaussian(positions, centre, width) -> Tensor:
    """Product over the axes, one after the other."""
    value = torch.ones_like(positions[0])
    for x, c, w in zip(positions, centre, width, strict=True):
        value = value * torch.exp(-((x - c) ** 2) / (2 * w**2))
    return value


def kept_samples(length, reach, *, causal=False) -> list[int]:
    """Indices that a crop keeps, found by looking at every sample; never empty."""
    xs = [
        0.0 if length == 1 and not causal else 1.0 if length == 1 else -1 + 2 * i / (length - 1) for i in range(length)
    ]
    if causal:
        return [i for i, x in enumerate(xs) if x > 1 - reach or reach >= 2] or [length - 1]
    kept = [i for i, x in enumerate(xs) if abs(x) < reach or reach >= 1]
    return kept or ([length // 2] if length % 2 else [length // 2 - 1, length // 2])


def multiplicative_network(points, filters, mixing, readout) -> Tensor:
    """h = g_0; h = g_l (A h + c); out = R h + r, one unit at a time. ``filters[l]`` maps a point to H numbers."""
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
    """Values of all atoms of one filter at one point; scalar arithmetic only."""
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
    """Kernels (out * in, P) of tents around moving points, one term at a time; differentiable.

    ``points`` (D, P), ``position`` (out, M, D), ``radius`` (out, M), ``weight`` (out, in, M).
    """
    kernels = []
    for o in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            values = []
            for x in points.T:
                total, covering = torch.zeros((), dtype=torch.float64), 0
                for m in range(weight.shape[2]):
                    distance = sum(abs(x[a] - position[o, m, a]) for a in range(len(x)))
                    tent = 1 - distance / radius[o, m]
                    if tent.item() > 0:
                        total, covering = total + weight[o, i, m] * tent, covering + 1
                values.append(total / (covering + 1e-6))
            kernels.append(torch.stack(values))
    return torch.stack(kernels)


def gaussian_derivative(x: float, sigma: float, order: int) -> float:
    """d^n/dx^n of the normal density, by the coefficients of the n-th Hermite polynomial."""
    u, polynomial = x / sigma, 0.0
    for k in range(order // 2 + 1):
        coefficient = math.factorial(order) / (math.factorial(k) * math.factorial(order - 2 * k) * 2**k)
        polynomial += (-1) ** k * coefficient * u ** (order - 2 * k)
    return (-1 / sigma) ** order * polynomial * math.exp(-0.5 * u**2) / (sigma * math.sqrt(2 * math.pi))


def is_smooth(number: int) -> bool:
    """Whether 2, 3 and 5 are its only prime factors."""
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
"""From what the generator says about one window to the window's kernel, in Python floats."""


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
    """Output (B, O, *S') and kernels (B, O, I / groups, *K, *S') of an adaptive convolution, one number at a time.

    Samples outside ``x`` are zero. The generator's window begins floor((k - q) / 2) taps after the kernel's.
    """
    ins, outs, signal = x.shape[1] // groups, out_channels // groups, x.shape[2:]
    axes = list(zip(signal, kernel, stride, padding, dilation, strict=True))
    lengths = [(n + left + right - d * (k - 1) - 1) // s + 1 for n, k, s, (left, right), d in axes]
    taps = list(itertools.product(*map(range, kernel)))
    starts = [(k - q) // 2 for k, q in zip(kernel, generator, strict=True)]
    seen_taps = [
        tuple(start + a for start, a in zip(starts, place, strict=True))
        for place in itertools.product(*map(range, generator))
    ]
    signals, weights = x.tolist(), weight.flatten(2).tolist()
    biases, gains, scales = (None if one is None else one.flatten().tolist() for one in (beta, gain, scale))

    def sample(b, c, place, tap):
        value = signals[b][c]
        for p, t, (n, _, s, (left, _), d) in zip(place, tap, axes, strict=True):
            at = p * s + t * d - left
            if not 0 <= at < n:
                return 0.0
            value = value[at]
        return value

    def kernel_row(o, c):
        """Where among the generators' outputs, counted in kernels, that of channel ``c`` and output ``o`` is."""
        group, output = divmod(o, outs)
        return {
            "pair": c * outs + output,
            "shared": group * outs + output,
            "full": (group * outs + output) * ins + c - group * ins,
        }[sharing]

    output = torch.zeros(x.shape[0], out_channels, *lengths, dtype=torch.float64)
    kernels = torch.zeros(x.shape[0], out_channels, ins, len(taps), *lengths, dtype=torch.float64)
    for b, place in itertools.product(range(x.shape[0]), itertools.product(*map(range, lengths))):
        seen = [[sample(b, c, place, tap) for tap in seen_taps] for c in range(x.shape[1])]
        values = [[sample(b, c, place, tap) for tap in taps] for c in range(x.shape[1])]
        for o in range(out_channels):
            group = range(o // outs * ins, (o // outs + 1) * ins)
            total = 0.0
            for c in group:
                z = []
                for row in range(kernel_row(o, c) * len(taps), (kernel_row(o, c) + 1) * len(taps)):
                    channels = [c] if sharing == "pair" else group
                    pairs = zip(weights[row], (seen[i] for i in channels), strict=True)
                    said = sum(q * v for of_channel, patch in pairs for q, v in zip(of_channel, patch, strict=True))
                    z.append(said + (biases[row] if biases else 0.0))
                found = SQUASHES[squash](z)
                if gains:
                    found = [k * gains[kernel_row(o, c) * len(taps) + u] for u, k in enumerate(found)]
                if normalize:
                    found = [k / sum(abs(other) for other in found) for k in found]
                if scales:
                    found = [k * scales[kernel_row(o, c)] for k in found]
                total += sum(k * v for k, v in zip(found, values[c], strict=True))
                kernels[(b, o, c - group[0], slice(None), *place)] = torch.tensor(found, dtype=torch.float64)
            output[(b, o, *place)] = total
    return output, kernels.unflatten(3, kernel)
