"""Engines under torch.func, forward-mode differentiation and on the meta device behave like torch's convolution."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

from flexkern.engines import ENGINES, FactoredWeight, convolve
from tolerances import assert_matches

# Forward mode loads torch's own decompositions, which warn.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
ALL = pytest.mark.parametrize("engine", ["auto", *ENGINES])
FUNCTIONS = {
    "grad": lambda f, x, w: torch.func.grad(lambda w: f(x, w).square().sum())(w),
    "grad_of_input": lambda f, x, w: torch.func.grad(lambda x: f(x, w).square().sum())(x),
    "vmap_of_weight": lambda f, x, w: torch.func.vmap(lambda w: f(x, w))(torch.stack([w, 2 * w, -w])),
    "vmap_of_both": lambda f, x, w: torch.func.vmap(f)(torch.stack([x, x + 1]), torch.stack([w, 2 * w])),
    "gradient_per_sample": lambda f, x, w: torch.func.vmap(
        torch.func.grad(lambda w, x: f(x[None], w).square().sum()), in_dims=(None, 0)
    )(w, x),
    "jvp": lambda f, x, w: torch.func.jvp(lambda x, w: f(x, w), (x, w), (x.cos(), w.sin()))[1],
    "jacobian": lambda f, x, w: torch.func.jacrev(lambda w: f(x, w))(w),
    "hessian": lambda f, x, w: torch.func.hessian(lambda w: f(x, w).square().sum())(w),
}


def pair(engine):
    return (
        lambda x, w: convolve(x, w, padding=((2, 2),), engine=engine),
        lambda x, w: F.conv1d(x, w, padding=2),
    )


@ALL
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_transforms(name, engine):
    x, w = torch.randn(2, 2, 9, dtype=torch.float64), torch.randn(3, 2, 4, dtype=torch.float64)
    ours, theirs = (FUNCTIONS[name](function, x, w) for function in pair(engine))
    assert_matches(ours, theirs)


@ALL
@pytest.mark.parametrize("needs", [False, True], ids=["plain", "requires_grad"])
def test_forward_mode(engine, needs):
    x, w, tangent = (torch.randn(s, dtype=torch.float64) for s in ((2, 2, 9), (3, 2, 4), (3, 2, 4)))
    x.requires_grad_(needs)
    ours, theirs = pair(engine)
    with forward_ad.dual_level():
        y = ours(x, forward_ad.make_dual(w, tangent))
        assert_matches(forward_ad.unpack_dual(y).tangent, theirs(x, tangent))


@ALL
def test_gradient_penalty(engine):
    """Differentiate the norm of a gradient, as in the training of critics."""
    x, w = torch.randn(2, 2, 9, dtype=torch.float64), torch.randn(3, 2, 4, dtype=torch.float64)
    found = []
    for function in pair(engine):
        leaves = x.clone().requires_grad_(), w.clone().requires_grad_()
        (of_input,) = torch.autograd.grad(function(*leaves).square().sum(), leaves[0], create_graph=True)
        found.append(torch.autograd.grad(of_input.norm(), leaves[1])[0])
    assert_matches(*found)


@ALL
def test_meta_tensors_give_the_shape(engine):
    x, w = torch.empty(2, 4, 9, 8, device="meta"), torch.empty(6, 2, 3, 4, device="meta")
    assert convolve(x, w, stride=(2, 1), groups=2, engine=engine).shape == (2, 6, 4, 5)
    factors = FactoredWeight(torch.empty(6, 2, 5, device="meta"), torch.empty(5, 3, 4, device="meta"))
    assert convolve(x, factors, groups=2, engine=engine).is_meta


@ALL
def test_an_expanded_input_and_a_weight_that_is_a_view(engine):
    x, w = torch.randn(1, 2, 9).expand(3, 2, 9), torch.randn(4, 2, 3).mT.contiguous().mT[..., ::2]
    assert_matches(convolve(x, w, engine=engine), F.conv1d(x, w))


@ALL
def test_a_cotangent_that_is_expanded(engine):
    x, w = torch.randn(2, 2, 9, requires_grad=True), torch.randn(3, 2, 4, requires_grad=True)
    ours, theirs = (torch.autograd.grad(function(x, w).sum(), (x, w)) for function in pair(engine))
    for one, other in zip(ours, theirs, strict=True):
        assert_matches(one, other)
