"""The base of all layers: the arguments and attributes of ``torch.nn.ConvNd``."""

from typing import ClassVar

from torch import nn

from .arguments import ConvArguments


class ConvNd(nn.Module):
    """A convolution layer with the attributes of ``torch.nn.ConvNd``; subclasses compute the kernel.

    Args:
        arguments: the checked arguments of the convolution.
    """

    dims: ClassVar[int]

    def __init__(self, arguments: ConvArguments) -> None:
        super().__init__()
        self._arguments = arguments

    @property
    def arguments(self) -> ConvArguments:
        """The checked arguments, every per-axis value as a tuple."""
        return self._arguments

    @property
    def in_channels(self) -> int:
        return self.arguments.in_channels

    @property
    def out_channels(self) -> int:
        return self.arguments.out_channels

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Samples per axis; the horizon of layers that learn their size, at the resolution they serve now."""
        return self.arguments.kernel_size

    @property
    def stride(self) -> tuple[int, ...]:
        return self.arguments.stride

    @property
    def padding(self) -> str | tuple[int, ...]:
        """The name "same" or "valid" if given, else samples per axis (causal: on the old side only)."""
        return self.arguments.given_padding

    @property
    def dilation(self) -> tuple[int, ...]:
        return self.arguments.dilation

    @property
    def groups(self) -> int:
        return self.arguments.groups

    @property
    def padding_mode(self) -> str:
        return self.arguments.padding_mode
