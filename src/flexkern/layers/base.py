"""The base of layers with a continuous kernel: a generator times a window, sampled on a grid."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .._support.precision import agreed_dtype
from ..engines import (
    Padding,
    Plan,
    Weight,
    check_engine,
    check_finite,
    dense,
    lies_channels_last,
    pad,
    plan_shapes,
    run,
)
from ..functional import Grid
from ..generators import Generator, Region, get_generator
from ..windows import Bounds, GaussianWindow, current_bounds
from .arguments import ConvArguments, check_input
from .cache import reuse, reuse_spectrum
from .conv_nd import ConvNd
from .kernel_sampling import count_features, sample_weight


class ContinuousConv(ConvNd):
    """A convolution whose kernel is generator times window on a grid; the base of CKConv and FlexConv.

    Args:
        arguments: the checked arguments of the convolution.
        generator: name or factory of the kernel generator.
        window: decides the size; None uses the whole grid.
        bias: learn an output bias, which starts at 0.
        engine: "auto", "direct", "fft", "dft" or "overlap_save".
    """

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
        super().__init__(arguments)
        self._trained_arguments = arguments
        self.grid = Grid(arguments.kernel_size, arguments.causal) if window is None else window.grid
        self.engine = check_engine(engine)
        self.window = window
        region = _initial_region(arguments, window)
        channels = arguments.out_channels * region.fan_in
        self.generator = get_generator(generator)(self.dims, channels, region=region, device=device, dtype=dtype)
        parameter = nn.Parameter(torch.zeros(arguments.out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", parameter)

    @property
    def bounds(self) -> Bounds:
        """Per axis the samples ``(start, stop)`` of the horizon that are in use now."""
        if self.window is None:
            return tuple((0, length) for length in self._arguments.kernel_size)
        return current_bounds(self.window)

    @property
    def size(self) -> tuple[int, ...]:
        """The current extent of the kernel in samples per axis."""
        return _size_of(self.bounds)

    def reset_parameters(self) -> None:
        """Draw the generator anew; reset the window to its initial width and the bias to zero."""
        self.generator.reset_parameters()
        if self.window is not None:
            self.window.reset_parameters()
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def factored_weight(self) -> Weight:
        """Return the kernel as sampled now, as two factors where the generator has them.

        Raises:
            ValueError: for a kernel that is not finite.
        """
        return self._sample(self.bounds)

    @property
    def weight(self) -> Tensor:  # shape: (out, in / groups, *size)
        """The kernel as sampled now, after window and crop."""
        return dense(self.factored_weight())

    def _sample(self, bounds: Bounds) -> Weight:
        weight = sample_weight(self.generator, self.window, self.grid, bounds, self._arguments.out_channels)
        check_finite(weight)
        return weight

    def resample(self, scale: float | Sequence[float]) -> None:
        """Serve signals that are sampled ``scale`` times as densely as now; see :func:`flexkern.at_resolution`.

        Raises:
            ValueError: for a scale that is not positive, or at which the kernel is smaller than one sample.
        """
        grid = self.grid.at(scale)
        covered = (2.0,) * self.dims if self.window is None else self.window.covered()
        for extent, step, length in zip(covered, grid.steps, grid.trained_lengths, strict=True):
            if length > 1 and extent < step:
                raise ValueError(
                    f"`scale` {scale} makes the kernel smaller than one sample: it spans {extent:.3g} of the "
                    f"[-1, 1] coordinate, samples would lie {step:.3g} apart."
                )
        self._arguments = self._trained_arguments.at_grid(grid)
        self.grid = grid
        if self.window is not None:
            self.window.move_to_grid(grid)

    def plan(self, shape: Sequence[int], *, channels_last: bool = False) -> Plan:
        """Return how an input of ``shape`` is convolved; ``print(layer.plan(x.shape).explain())`` shows it.

        Set ``channels_last`` for inputs in that memory format, as in a FlexNet on a CPU.
        """
        bounds = self.bounds
        signal = tuple(shape[-self.dims :])
        padding = self._arguments.cropped_padding(bounds)
        if self._arguments.padding_mode != "zeros":  # the signal is extended before the convolution
            signal = tuple(length + before + after for length, (before, after) in zip(signal, padding, strict=True))
            padding = ((0, 0),) * self.dims
        batch = shape[0] if len(shape) == self.dims + 2 else 1
        return self._plan(batch, signal, padding, bounds, channels_last=channels_last)

    def _plan(
        self, batch: int, signal: tuple[int, ...], padding: Padding, bounds: Bounds, *, channels_last: bool
    ) -> Plan:
        arguments = self._arguments
        input_shape = (batch, arguments.in_channels, *signal)
        fan_in = arguments.in_channels // arguments.groups
        weight_shape = (arguments.out_channels, fan_in, *_size_of(bounds))
        return plan_shapes(
            input_shape,
            weight_shape,
            (arguments.stride, padding, arguments.dilation, arguments.groups),
            count_features(self.generator, self.window),
            channels_last=channels_last,
            engine=self.engine,
        )

    def forward(self, input: Tensor) -> Tensor:
        arguments = self._arguments
        name = type(self).__name__
        check_input(input, arguments, name)
        bounds = self.bounds
        entry = reuse(self, (self.grid, bounds), lambda: self._sample(bounds))
        weight = self._sample(bounds) if entry is None else entry.weight
        batched = input.dim() == self.dims + 2
        signal = input if batched else input.unsqueeze(0)
        # Weights are sampled in float32 at least; the signal takes the dtype of the parameters, or of autocast.
        signal = signal.to(agreed_dtype(input, self.generator.readout_weight.dtype, name))
        padding = arguments.cropped_padding(bounds)
        if arguments.padding_mode != "zeros":
            signal = pad(signal, padding, arguments.padding_mode)
            padding = ((0, 0),) * self.dims
        batch, _, *lengths = signal.shape
        plan = self._plan(batch, tuple(lengths), padding, bounds, channels_last=lies_channels_last(signal))
        spectrum = None if entry is None else reuse_spectrum(entry, weight, plan)
        output = run(signal, weight, plan, self.bias, spectrum)
        return output if batched else output.squeeze(0)

    def extra_repr(self) -> str:
        has_bias = self.bias is not None
        return f"{self._arguments.describe()}, bias={has_bias}, size={self.size}, engine={self.engine}"


def _size_of(bounds: Bounds) -> tuple[int, ...]:
    return tuple(stop - start for start, stop in bounds)


def _initial_region(arguments: ConvArguments, window: GaussianWindow | None) -> Region:
    """Return where the generator starts: the region that the initial window keeps."""
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
