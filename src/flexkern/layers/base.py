"""What every layer with a continuous kernel shares."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.precision import agreed_dtype
from ..engines import (
    ConvProblem,
    Plan,
    Weight,
    check_engine,
    check_finite,
    dense,
    lies_channels_last,
    pad,
    plan_conv,
    run,
)
from ..functional import Grid
from ..generators import Generator, Region, get_generator
from ..windows import Bounds, GaussianWindow, current_bounds
from .arguments import ConvArguments, check_input, crop_padding, resample_arguments
from .cache import reuse, reuse_spectrum
from .kernel_sampling import count_features, sample_weight


class ContinuousConv(nn.Module):
    """A convolution whose kernel is generator times window on a grid; the base of CKConv and FlexConv.

    Args:
        arguments: checked arguments of the convolution.
        generator: name or factory of the kernel network.
        window: decides the size; None uses the whole grid.
        bias: whether an output bias, 0 at the start, is learned.
        engine: "auto", "direct", "fft", "dft" or "overlap_save".
    """

    dims: ClassVar[int]
    bias: nn.Parameter | None

    def __init__(
        self,
        arguments: ConvArguments,
        generator: str | Callable[..., Generator],
        window: GaussianWindow | None,
        *,
        bias: bool,
        engine: str,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.arguments = self._trained_arguments = arguments
        self.grid = Grid(arguments.kernel_size, arguments.causal) if window is None else window.grid
        self.engine = check_engine(engine)
        self.window = window
        region = _initial_region(arguments, window)
        channels = arguments.out_channels * region.fan_in
        self.generator = get_generator(generator)(self.dims, channels, region=region, device=device, dtype=dtype)
        parameter = nn.Parameter(torch.zeros(arguments.out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", parameter)

    @property
    def in_channels(self) -> int:
        return self.arguments.in_channels

    @property
    def out_channels(self) -> int:
        return self.arguments.out_channels

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The horizon: samples per axis of the whole grid."""
        return self.arguments.kernel_size

    @property
    def stride(self) -> tuple[int, ...]:
        return self.arguments.stride

    @property
    def padding(self) -> str | tuple[int, ...]:
        """As given: "same", or samples per axis; what a causal layer pads is on the old side only."""
        return "same" if self.arguments.same else tuple(left for left, _ in self.arguments.padding)

    @property
    def dilation(self) -> tuple[int, ...]:
        return self.arguments.dilation

    @property
    def groups(self) -> int:
        return self.arguments.groups

    @property
    def padding_mode(self) -> str:
        return self.arguments.padding_mode

    @property
    def bounds(self) -> Bounds:
        """Per axis the samples ``(start, stop)`` of the horizon that are in use now."""
        return tuple((0, k) for k in self.kernel_size) if self.window is None else current_bounds(self.window)

    @property
    def size(self) -> tuple[int, ...]:
        """The current extent of the kernel in samples per axis."""
        return tuple(stop - start for start, stop in self.bounds)

    def reset_parameters(self) -> None:
        """Draw the generator anew, put the window back to its initial width and the bias to zero."""
        self.generator.reset_parameters()
        if self.window is not None:
            self.window.reset_parameters()
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def factored_weight(self) -> Weight:
        """The kernel as sampled now, as factors where the generator has them; a ValueError unless it is finite."""
        weight = sample_weight(self.generator, self.window, self.grid, self.bounds, self.out_channels)
        check_finite(weight)
        return weight

    @property
    def weight(self) -> Tensor:  # shape: (out, in / groups, *size)
        """The kernel as sampled now, after window and crop."""
        return dense(self.factored_weight())

    def resample(self, scale: float | Sequence[float]) -> None:
        """Serve signals that are sampled ``scale`` times as densely as now; see :func:`flexkern.at_resolution`.

        Raises:
            ValueError: for a scale that is not positive, or at which the kernel is smaller than one sample.
        """
        grid = self.grid.at(scale)
        spans = (2.0,) * self.dims if self.window is None else self.window.covered()
        for span, step, horizon in zip(spans, grid.steps, grid.trained_lengths, strict=True):
            if horizon > 1 and span < step:
                raise ValueError(
                    f"`scale` {scale} makes the kernel smaller than one sample: it spans {span:.3g} of the "
                    f"[-1, 1] coordinate, samples would lie {step:.3g} apart."
                )
        self.arguments, self.grid = resample_arguments(self._trained_arguments, grid), grid
        if self.window is not None:
            self.window.move_to_grid(grid)

    def plan(self, shape: Sequence[int], *, channels_last: bool = False) -> Plan:
        """How an input of ``shape`` is convolved; ``print(layer.plan(x.shape).explain())``.

        ``channels_last`` is for inputs that lie in memory so, as in a FlexNet on a CPU.
        """
        a = self.arguments
        signal, padding = tuple(shape[-self.dims :]), crop_padding(a, self.bounds)
        if a.padding_mode != "zeros":  # the signal is extended first, by that much
            signal = tuple(n + left + right for n, (left, right) in zip(signal, padding, strict=True))
            padding = tuple((0, 0) for _ in padding)
        batch = shape[0] if len(shape) == self.dims + 2 else 1
        problem = ConvProblem(
            batch,
            a.in_channels,
            a.out_channels,
            signal,
            self.size,
            a.stride,
            padding,
            a.dilation,
            a.groups,
            count_features(self.generator, self.window),
            channels_last,
        )
        return plan_conv(problem, self.engine)

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.arguments, type(self).__name__)
        batched = input.dim() == self.dims + 2
        entry = reuse(self, (self.grid, self.bounds), self.factored_weight)
        weight = self.factored_weight() if entry is None else entry.weight
        dtype = agreed_dtype(input, self.generator.readout_weight.dtype, type(self).__name__)
        signal = (input if batched else input.unsqueeze(0)).to(dtype)  # weights are sampled in float32 at least
        if self.arguments.padding_mode != "zeros":
            signal = pad(signal, crop_padding(self.arguments, self.bounds), self.arguments.padding_mode)
        plan = self.plan(input.shape, channels_last=lies_channels_last(signal))
        prepared = None if entry is None else reuse_spectrum(entry, weight, plan)
        output = run(signal, weight, plan, self.bias, prepared)
        return output if batched else output.squeeze(0)

    def extra_repr(self) -> str:
        return f"{self.arguments.describe()}, bias={self.bias is not None}, size={self.size}, engine={self.engine}"


def _initial_region(arguments: ConvArguments, window: GaussianWindow | None) -> Region:
    fan_in = arguments.in_channels // arguments.groups
    if window is None:
        return Region.whole(arguments.kernel_size, fan_in, arguments.causal)
    return Region(
        arguments.kernel_size,
        window.initial_bounds(),
        fan_in,
        window.initial_centre,
        window.initial_width,
        window.threshold if window.continuous else None,
        arguments.causal,
    )
