"""From the generator's output to kernels, and back: in place for tanh, by the chain rule for everything else."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .spec import SQUASHES, AdaptiveSpec
from .workspace import Workspace


class KernelGradients(NamedTuple):
    """The gradients of the generator's output, the values that kernels were applied to, gain and scale."""

    z: Tensor
    values: Tensor
    gain: Tensor | None = None
    scale: Tensor | None = None


class Kernels(Protocol):
    """Computes and applies the kernels of a block; a common ``factor`` is left to the caller.

    Kernels have the shape (generator_groups, outputs, kernels_per_output, taps, positions), and ``values`` the shape
    (generator_groups, kernels_per_output, taps, positions). The methods may overwrite ``z``.
    """

    factor: float

    def prepare(self, matrices: Tensor) -> Tensor:
        """Return the generator's matrices, scaled so that their products are the ``z`` of the other two methods."""
        ...

    def apply(self, z: Tensor, values: Tensor, generator_groups: slice) -> Tensor:
        """Return the sums of kernels times values: (generator_groups, outputs, positions)."""
        ...

    def gradients(
        self,
        z: Tensor,
        values: Tensor,
        grad_products: Tensor,
        generator_groups: slice,
    ) -> KernelGradients:
        """Return the gradients for that of :meth:`apply`, (generator_groups, outputs, 1, 1, positions).

        The result shares memory with that of the next call.
        """
        ...


class TanhKernels:
    """Kernels ``K = tanh(z)`` without gain, scale or normalisation.

    With a bias, tanh is computed as ``2 (sigmoid(2 z) - 1/2)``: torch's sigmoid is five times faster than its tanh on
    a CPU. The absolute error is then that of rounding 1, 1e-7 in float32. Without a bias all kernels may be small, so
    that their relative error matters, and tanh itself is used.
    """

    def __init__(self, spec: AdaptiveSpec, work: Workspace, *, biased: bool) -> None:
        self.spec = spec
        self.work = work
        self.biased = biased
        self.factor = 2.0 if biased else 1.0

    def prepare(self, matrices: Tensor) -> Tensor:
        return matrices * 2 if self.biased else matrices

    def apply(self, z: Tensor, values: Tensor, generator_groups: slice) -> Tensor:
        values_per_output = values[:, None]
        if not self.biased:
            kernels = self.spec.split_outputs(z.tanh_())
            return kernels.mul_(values_per_output).sum((2, 3))
        sigmoids = self.spec.split_outputs(z.sigmoid_())
        products = sigmoids.mul_(values_per_output).sum((2, 3))
        halves = values.sum((1, 2))[:, None]  # the 1/2, summed once for all outputs
        return products.sub_(halves, alpha=0.5)

    def gradients(
        self,
        z: Tensor,
        values: Tensor,
        grad_products: Tensor,
        generator_groups: slice,
    ) -> KernelGradients:
        if self.biased:
            return self._sigmoid_gradients(z, values, grad_products)
        kernels = self.spec.split_outputs(z.tanh_())
        buffer = self.work.take("grad_z", *kernels.shape)
        grad_values = torch.mul(kernels, grad_products, out=buffer).sum(1)
        grad_z = torch.mul(values[:, None], grad_products, out=buffer)
        grad_z.addcmul_(grad_z, kernels.square_(), value=-1)  # tanh' = 1 - tanh^2
        return KernelGradients(grad_z.view(z.shape), grad_values)

    def _sigmoid_gradients(self, z: Tensor, values: Tensor, grad_products: Tensor) -> KernelGradients:
        """Return the gradients for ``s = sigmoid(2 z)``: ``K = 2 s - 1`` and ``tanh' = 4 s (1 - s)``.

        This takes five passes over the kernels.
        """
        s = self.spec.split_outputs(z.sigmoid_())
        buffer = self.work.take("grad_z", *s.shape)
        grad_values = torch.mul(s, grad_products, out=buffer).sum(1)
        grad_values.mul_(2).sub_(grad_products.sum(1))
        grad_z = torch.mul(values[:, None], grad_products * 4, out=buffer)
        torch.ops.aten.sigmoid_backward.grad_input(grad_z, s, grad_input=grad_z)
        return KernelGradients(grad_z.view(z.shape), grad_values)


class AnyKernels:
    """Kernels of any squash, with or without gain, normalisation and scale."""

    factor = 1.0

    def __init__(self, spec: AdaptiveSpec, gain: Tensor | None, scale: Tensor | None) -> None:
        self.spec = spec
        self.gain = gain
        self.scale = scale

    def prepare(self, matrices: Tensor) -> Tensor:
        return matrices

    def apply(self, z: Tensor, values: Tensor, generator_groups: slice) -> Tensor:
        gain = _select(self.gain, generator_groups)
        scale = _select(self.scale, generator_groups)
        kernels = self.spec.kernels(self.spec.split_outputs(z), gain, scale)
        return (kernels * values[:, None]).sum((2, 3))

    def gradients(
        self,
        z: Tensor,
        values: Tensor,
        grad_products: Tensor,
        generator_groups: slice,
    ) -> KernelGradients:
        """Apply the chain rule to ``a = gain s(z)``, ``n = sum |a|``, ``k = a / n``, ``K = scale k``, last to first."""
        z = self.spec.split_outputs(z)
        gain = _select(self.gain, generator_groups)
        scale = _select(self.scale, generator_groups)
        squashed = self._squash(z)
        gained = squashed if gain is None else squashed * gain[..., None]
        norm = self.spec.norm(gained) if self.spec.normalize else None
        unit = gained if norm is None else gained / norm

        gradient = values[:, None] * grad_products
        kernels = unit
        grad_scale = None
        if scale is not None:
            factor = scale[..., None, None]
            grad_scale = (gradient * unit).sum((3, 4))
            gradient = gradient * factor
            kernels = unit * factor
        grad_values = (kernels * grad_products).sum(1)
        if norm is not None:
            along = (gradient * unit).sum(3, keepdim=True)
            gradient = (gradient - gained.sign() * along) / norm
        grad_gain = None
        if gain is not None:
            grad_gain = (gradient * squashed).sum(4)
            gradient = gradient * gain[..., None]
        grad_z = self._squash_gradient(z, squashed, gradient)
        return KernelGradients(grad_z.flatten(1, 3), grad_values, grad_gain, grad_scale)

    def _squash(self, z: Tensor) -> Tensor:
        squash = self.spec.squash
        if isinstance(squash, str):
            return SQUASHES[squash](z)
        return squash(z.clone())  # a user's function may work in place

    def _squash_gradient(self, z: Tensor, squashed: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient of ``z``, given that of ``squashed``."""
        match self.spec.squash:
            case "tanh":
                return gradient * (1 - squashed.square())
            case "hardtanh":
                return gradient * (z.abs() < 1)
            case "gaussian":
                return gradient * squashed * z * -2
            case "softmax":
                mean = (gradient * squashed).sum(3, keepdim=True)
                return squashed * (gradient - mean)
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            output = self._squash(leaf)
        if not output.requires_grad:  # a constant function
            return torch.zeros_like(z)
        return torch.autograd.grad(output, leaf, gradient)[0]


def _select(factors: Tensor | None, generator_groups: slice) -> Tensor | None:
    return None if factors is None else factors[generator_groups]


def select_kernels(
    spec: AdaptiveSpec,
    gain: Tensor | None,
    scale: Tensor | None,
    work: Workspace,
    *,
    biased: bool,
) -> Kernels:
    """Return the fastest implementation for ``spec``.

    Args:
        spec: the convolution.
        gain: factors of the squashed values, (generator_groups, outputs, kernels_per_output, taps), or None.
        scale: factors of whole kernels, (generator_groups, outputs, kernels_per_output), or None.
        work: memory for gradients.
        biased: whether the generator has a bias.

    Example:
        >>> spec = AdaptiveSpec(1, 1, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> type(select_kernels(spec, None, None, Workspace(torch.zeros(())), biased=True)).__name__
        'TanhKernels'
    """
    bare = gain is None and scale is None and not spec.normalize
    if bare and spec.squash == "tanh":
        return TanhKernels(spec, work, biased=biased)
    return AnyKernels(spec, gain, scale)
