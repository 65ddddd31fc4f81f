"""From what a generator says to kernels, and back: in place for tanh, by the chain rule for everything else."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .spec import SQUASHES, AdaptiveSpec
from .workspace import Workspace


class KernelGradients(NamedTuple):
    """Gradients of the generator's output, of the values that kernels were applied to, of gain and scale."""

    z: Tensor
    values: Tensor
    gain: Tensor | None = None
    scale: Tensor | None = None


class Kernels(Protocol):
    """Makes the kernels (banks, outputs, applied, taps, positions) of a block, but for a common ``factor``.

    ``z`` may be overwritten.
    """

    factor: float

    def prepare(self, matrices: Tensor) -> Tensor:
        """The generator's matrices as the other two methods expect them to be applied."""
        ...

    def apply(self, z: Tensor, values: Tensor, banks: slice) -> Tensor:
        """Kernels times values (banks, applied, taps, positions), added up: (banks, outputs, positions)."""
        ...

    def gradients(self, z: Tensor, values: Tensor, weighted: Tensor, banks: slice) -> KernelGradients:
        """Given the gradient of the outputs (banks, outputs, 1, 1, positions); good until the next call."""
        ...


class TanhKernels:
    """``K = tanh(z)`` and nothing else.

    Beside a bias it is taken as ``2 (sigmoid(2 z) - 1/2)``: torch's sigmoid is five times faster than its tanh on a
    CPU. The absolute error is then one rounding of 1, that is 1e-7 in float32; without bias all kernels may be small,
    and their relative error matters.
    """

    def __init__(self, spec: AdaptiveSpec, work: Workspace, *, biased: bool) -> None:
        self.spec, self.work, self.biased = spec, work, biased
        self.factor = 2.0 if biased else 1.0

    def prepare(self, matrices: Tensor) -> Tensor:
        return matrices * 2 if self.biased else matrices

    def apply(self, z: Tensor, values: Tensor, banks: slice) -> Tensor:
        if not self.biased:
            return self.spec.shaped(z.tanh_()).mul_(values[:, None]).sum((2, 3))
        parts = self.spec.shaped(z.sigmoid_()).mul_(values[:, None]).sum((2, 3))
        return parts.sub_(values.sum((1, 2))[:, None], alpha=0.5)  # the 1/2, once for all outputs

    def gradients(self, z: Tensor, values: Tensor, weighted: Tensor, banks: slice) -> KernelGradients:
        if self.biased:
            return self._by_sigmoid(z, values, weighted)
        kernels = self.spec.shaped(z.tanh_())
        buffer = self.work.take("of_z", *kernels.shape)
        of_values = torch.mul(kernels, weighted, out=buffer).sum(1)
        of_z = torch.mul(values[:, None], weighted, out=buffer)
        of_z.addcmul_(of_z, kernels.square_(), value=-1)  # tanh' = 1 - tanh^2
        return KernelGradients(of_z.view(z.shape), of_values)

    def _by_sigmoid(self, z: Tensor, values: Tensor, weighted: Tensor) -> KernelGradients:
        """With ``s = sigmoid(2 z)``: ``K = 2 s - 1`` and ``tanh' = 4 s (1 - s)``, in five passes over the kernels."""
        s = self.spec.shaped(z.sigmoid_())
        buffer = self.work.take("of_z", *s.shape)
        of_values = torch.mul(s, weighted, out=buffer).sum(1).mul_(2).sub_(weighted.sum(1))
        of_z = torch.mul(values[:, None], weighted * 4, out=buffer)
        torch.ops.aten.sigmoid_backward.grad_input(of_z, s, grad_input=of_z)
        return KernelGradients(of_z.view(z.shape), of_values)


class AnyKernels:
    """Any squash, with or without gain, normalisation and scale."""

    factor = 1.0

    def __init__(self, spec: AdaptiveSpec, gain: Tensor | None, scale: Tensor | None) -> None:
        self.spec, self.gain, self.scale = spec, gain, scale

    def prepare(self, matrices: Tensor) -> Tensor:
        return matrices

    def apply(self, z: Tensor, values: Tensor, banks: slice) -> Tensor:
        gain = None if self.gain is None else self.gain[banks]
        scale = None if self.scale is None else self.scale[banks]
        return (self.spec.kernels(self.spec.shaped(z), gain, scale) * values[:, None]).sum((2, 3))

    def gradients(self, z: Tensor, values: Tensor, weighted: Tensor, banks: slice) -> KernelGradients:
        """With ``a = gain s(z)``, ``n = sum |a|``, ``k = a / n`` and ``K = scale k``, from the last to the first."""
        z = self.spec.shaped(z)
        squashed = self._squash(z)
        gained = squashed if self.gain is None else squashed * self.gain[banks][..., None]
        norm = self.spec.norm(gained) if self.spec.normalize else None
        unit = gained if norm is None else gained / norm
        of_kernels, of_scale, kernels = values[:, None] * weighted, None, unit
        if self.scale is not None:
            scale = self.scale[banks][..., None, None]
            of_scale = (of_kernels * unit).sum((3, 4))
            of_kernels, kernels = of_kernels * scale, unit * scale
        of_values = (kernels * weighted).sum(1)
        if norm is not None:
            of_kernels = (of_kernels - gained.sign() * (of_kernels * unit).sum(3, keepdim=True)) / norm
        of_gain = None
        if self.gain is not None:
            of_gain = (of_kernels * squashed).sum(4)
            of_kernels = of_kernels * self.gain[banks][..., None]
        of_z = self._slope(z, squashed, of_kernels)
        return KernelGradients(of_z.flatten(1, 3), of_values, of_gain, of_scale)

    def _squash(self, z: Tensor) -> Tensor:
        squash = self.spec.squash
        return SQUASHES[squash](z) if isinstance(squash, str) else squash(z.clone())  # which may work in place

    def _slope(self, z: Tensor, squashed: Tensor, of_squashed: Tensor) -> Tensor:
        """The gradient of the squash's argument."""
        match self.spec.squash:
            case "tanh":
                return of_squashed * (1 - squashed.square())
            case "hardtanh":
                return of_squashed * (z.abs() < 1)
            case "gaussian":
                return of_squashed * squashed * z * -2
            case "softmax":
                return squashed * (of_squashed - (of_squashed * squashed).sum(3, keepdim=True))
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            found = self._squash(leaf)
        if not found.requires_grad:  # constant
            return torch.zeros_like(z)
        return torch.autograd.grad(found, leaf, of_squashed)[0]


def kernels_of(
    spec: AdaptiveSpec, gain: Tensor | None, scale: Tensor | None, work: Workspace, *, biased: bool
) -> Kernels:
    """The way that suits the form; ``biased`` tells whether the generator has a bias.

    Example:
        >>> spec = AdaptiveSpec(1, 1, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> type(kernels_of(spec, None, None, Workspace(torch.zeros(())), biased=True)).__name__
        'TanhKernels'
    """
    plain = spec.squash == "tanh" and gain is None and scale is None and not spec.normalize
    return TanhKernels(spec, work, biased=biased) if plain else AnyKernels(spec, gain, scale)
