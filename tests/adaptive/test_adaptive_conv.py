"""Adaptive convolution: blocks, stored kernels and the plain definition compute the same function as loops."""

import contextlib
import dataclasses
import functools
import itertools
import math
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import oracles
from flexkern.adaptive import AdaptiveSpec, adaptive_conv, adaptive_kernels, blocks, plain_adaptive_conv
from flexkern.adaptive.compiled import pack_spec, traced_adaptive_conv
from flexkern.adaptive.patches import embed, unfold
from flexkern.adaptive.spec import Window
from tolerances import assert_all_match, assert_matches, float32_bound

SHARINGS = ("pair", "shared", "full")


def centred(z: Tensor) -> Tensor:
    """A squash that depends on the whole window."""
    return z - z.mean(-2, keepdim=True)


CALLABLES = {"atan": torch.atan, "centred": centred}
SQUASHES = ("tanh", "hardtanh", "gaussian", "softmax", *CALLABLES)
WAYS = {
    "blocked": adaptive_conv,
    "kept": functools.partial(adaptive_conv, remat=False),
    "plain": plain_adaptive_conv,
}


@dataclass
class Problem:
    """A specification, its tensors, and what the loops need to know."""

    spec: AdaptiveSpec
    squash: str
    x: Tensor
    padding: list[tuple[int, int]]
    tensors: dict[str, Tensor]  # padded, weight, bias, gain, scale, where present

    def output(self, way=adaptive_conv, **changes) -> Tensor:
        given = {"bias": None, **self.tensors, **changes}
        return way(*(given.pop(name) for name in ("padded", "weight", "bias")), self.spec, **given)

    def twin(self) -> tuple[Tensor, Tensor]:
        spec, held = self.spec, self.tensors
        return oracles.adaptive_convolve(
            self.x,
            held["weight"],
            held.get("bias"),
            out_channels=spec.out_channels,
            kernel=spec.kernel,
            generator=spec.generator,
            stride=spec.stride,
            padding=self.padding,
            dilation=spec.dilation,
            groups=spec.groups,
            sharing=spec.sharing,
            squash=self.squash,
            normalize=spec.normalize,
            gain=held.get("gain"),
            scale=held.get("scale"),
        )

    def gradients(self, way=adaptive_conv, cotangent=None) -> dict[str, Tensor]:
        """The output and the gradients of every tensor."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.tensors.items()}
        y = self.output(way, **leaves)
        found = torch.autograd.grad(y, tuple(leaves.values()), torch.ones_like(y) if cotangent is None else cotangent)
        return {"output": y, **dict(zip(leaves, found, strict=True))}

    def to(self, dtype: torch.dtype) -> "Problem":
        return dataclasses.replace(self, tensors={name: one.to(dtype) for name, one in self.tensors.items()})


def make(
    sharing="pair",
    squash="tanh",
    *,
    channels=(2, 2),
    signal=(6, 5),
    kernel=(3, 3),
    generator=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    normalize=False,
    bias=True,
    batch=2,
) -> Problem:
    spread = lambda value: (value,) * len(signal) if isinstance(value, int) else tuple(value)  # noqa: E731
    spec = AdaptiveSpec(
        *channels,
        kernel,
        generator or kernel,
        spread(stride),
        spread(dilation),
        groups,
        sharing,
        CALLABLES.get(squash, squash),
        normalize,
    )
    x = torch.randn(batch, channels[0], *signal, dtype=torch.float64)
    sides = [(p, p) for p in spread(padding)]
    whole = [(left + a, right + b) for (left, right), (a, b) in zip(sides, spec.margins, strict=True)]
    seen = spec.generator_in_channels * math.prod(spec.generator)
    shapes = {
        "weight": (spec.generator_groups * spec.generator_out_channels, spec.generator_in_channels, *spec.generator),
        "bias": (spec.generator_groups * spec.generator_out_channels,) if bias else None,
        "gain": (spec.generator_groups, spec.outputs, spec.kernels_per_output, spec.taps)
        if squash == "gaussian"
        else None,
        "scale": (spec.generator_groups, spec.outputs, spec.kernels_per_output)
        if normalize or squash == "softmax"
        else None,
    }
    spreads = {"weight": 0.9 / math.sqrt(seen), "bias": 0.4, "gain": 1.0, "scale": 1.0}
    tensors = {"padded": F.pad(x, [side for pair in reversed(whole) for side in pair])}
    for name, shape in shapes.items():
        if shape is not None:
            tensors[name] = spreads[name] * torch.randn(shape, dtype=torch.float64)
    return Problem(spec, squash, x, sides, tensors)


@contextlib.contextmanager
def budgets(values: int, positions: int, patches: int):
    """Use blocks of other sizes than the default ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(blocks.CACHE_VALUES, "cpu", values)
        patch.setattr(blocks, "LEAST_POSITIONS", positions)
        patch.setattr(blocks, "PATCH_VALUES", patches)
        blocks._blocks.cache_clear(), blocks._tiles.cache_clear()
        try:
            yield
        finally:
            blocks._blocks.cache_clear(), blocks._tiles.cache_clear()


GEOMETRY = {
    "one_axis": {"signal": (9,), "kernel": (3,)},
    "two_axes": {},
    "three_axes": {"signal": (3, 4, 3), "kernel": (2, 3, 2)},
    "batch_1": {"batch": 1},
    "one_to_one": {"channels": (1, 1), "signal": (5,), "kernel": (3,)},
    "many_to_one": {"channels": (5, 1), "signal": (5,), "kernel": (3,)},
    "one_to_many": {"channels": (1, 5), "signal": (5,), "kernel": (3,)},
    "stride": {"signal": (7, 8), "stride": (2, 3), "padding": 1},
    "stride_beyond_kernel": {"signal": (11,), "kernel": (2,), "stride": 3},
    "dilation": {"signal": (7, 6), "dilation": (2, 1)},
    "stride_and_dilation": {"signal": (11, 9), "kernel": (3, 2), "stride": (2, 1), "dilation": (2, 3), "padding": 2},
    "even": {"signal": (5, 6), "kernel": (2, 4)},
    "rectangular": {"signal": (4, 6), "kernel": (1, 5), "padding": (0, 2)},
    "one_sample": {"kernel": (1, 1)},
    "kernel_longer_than_signal": {"signal": (4,), "kernel": (7,), "padding": 3},
    "generator_of_one_sample": {"kernel": (3, 3), "generator": (1, 1)},
    "generator_smaller": {"signal": (9,), "kernel": (5,), "generator": (3,)},
    "generator_larger": {"signal": (7,), "kernel": (3,), "generator": (7,)},
    "generator_of_a_single_tap_larger": {"signal": (6,), "kernel": (1,), "generator": (3,)},
    "generator_smaller_odd_difference": {"signal": (9,), "kernel": (5,), "generator": (2,)},
    "generator_larger_odd_difference": {"signal": (9,), "kernel": (3,), "generator": (4,)},
    "generator_of_an_even_kernel": {"signal": (9,), "kernel": (2,), "generator": (5,)},
    "generator_mixed": {"signal": (6, 7), "kernel": (4, 2), "generator": (3, 5), "padding": 1},
    "generator_mixed_strided": {
        "signal": (9, 9),
        "kernel": (4, 2),
        "generator": (3, 5),
        "padding": (2, 0),
        "stride": 2,
        "dilation": (1, 2),
    },
    "generator_three_axes": {"signal": (3, 3, 3), "kernel": (1, 3, 2), "generator": (2, 2, 3)},
}


class TestTwin:
    """Against loops over samples, outputs, inputs, positions and taps."""

    def check(self, problem):
        exact, kernels = problem.twin()
        for name, way in WAYS.items():
            for wanted in (False, True):
                tensors = {k: v.detach().requires_grad_(wanted) for k, v in problem.tensors.items()}
                assert_matches(problem.output(way, **tensors), exact, 1e-12, name)
        given = {"bias": None, **problem.tensors}
        found = adaptive_kernels(*(given.pop(n) for n in ("padded", "weight", "bias")), problem.spec, **given)
        shared = problem.spec.sharing == "shared"
        assert_matches(found, kernels[:, :, :1] if shared else kernels, 1e-12, "kernels")

    @pytest.mark.parametrize("sharing", SHARINGS)
    @pytest.mark.parametrize("name", GEOMETRY)
    def test_geometry(self, name, sharing):
        self.check(make(sharing, **GEOMETRY[name]))

    @pytest.mark.parametrize("groups", [1, 2])
    @pytest.mark.parametrize("normalize", [False, True])
    @pytest.mark.parametrize("squash", SQUASHES)
    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_squash(self, sharing, squash, normalize, groups):
        self.check(make(sharing, squash, channels=(4, 6), signal=(7,), kernel=(3,), normalize=normalize, groups=groups))

    @pytest.mark.parametrize("squash", SQUASHES)
    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_no_bias(self, sharing, squash):
        self.check(make(sharing, squash, signal=(6,), kernel=(3,), bias=False))

    @pytest.mark.parametrize("name", ["stride_and_dilation", "generator_mixed_strided"])
    def test_a_generator_per_channel(self, name):
        self.check(make(channels=(3, 3), groups=3, **GEOMETRY[name]))
        self.check(make(channels=(2, 4), groups=2, **GEOMETRY[name]))

    def test_the_generator_s_window_begins_at_the_floor_of_half_the_difference(self):
        for kernel, generator, first in [
            (3, 3, 0),
            (5, 3, 1),
            (5, 2, 1),
            (3, 4, -1),
            (2, 5, -2),
            (1, 4, -2),
            (4, 1, 1),
        ]:
            window = Window.around(kernel, generator)
            assert window.generator.start - window.kernel.start == first
            assert window.kernel.stop - window.kernel.start == kernel
            assert window.generator.stop - window.generator.start == generator
            assert window.size == max(kernel, first + generator) - min(0, first)


FORMS = {
    "pair": {"sharing": "pair", "channels": (6, 4)},
    "pair_groups": {"sharing": "pair", "channels": (4, 6), "groups": 2},
    "depthwise": {"sharing": "pair", "channels": (5, 5), "groups": 5},
    "shared": {"sharing": "shared", "channels": (3, 4)},
    "shared_groups": {"sharing": "shared", "channels": (6, 3), "groups": 3},
    "full": {"sharing": "full", "channels": (3, 4)},
    "full_groups": {"sharing": "full", "channels": (4, 4), "groups": 2},
}


BUDGETS = [(1, 1, 1), (100, 3, 1), (300, 5, 500), (2000, 16, 900)]


class TestBlocks:
    """Values and gradients do not depend on the sizes of tiles and blocks."""

    @pytest.mark.parametrize("budget", BUDGETS)
    @pytest.mark.parametrize("name", FORMS)
    def test_many_blocks(self, name, budget):
        # A Latin square: every squash meets every budget, and every form meets every squash.
        place = list(FORMS).index(name) + BUDGETS.index(budget)
        squash = ("tanh", "gaussian", "softmax", "centred")[place % 4]
        problem = make(squash=squash, signal=(5, 6), generator=(2, 3), padding=1, batch=3, **FORMS[name])
        cotangent = torch.randn_like(problem.output())
        expected = problem.gradients(plain_adaptive_conv, cotangent)
        with budgets(*budget):
            assert_all_match(problem.gradients(cotangent=cotangent), expected, 1e-12)
            assert_matches(problem.output(), expected["output"], 1e-12)  # without autograd

    def test_the_budgets_of_these_tests_cut_everywhere(self):
        cuts = set()
        for options, budget in itertools.product(FORMS.values(), BUDGETS):
            spec = make(signal=(5, 6), padding=1, batch=1, **options).spec
            with budgets(*budget):
                found = blocks._blocks(spec, 30, "cpu")
            assert [(b.generator_groups.start, b.positions.start) for b in found] == sorted(
                (b.generator_groups.start, b.positions.start) for b in found
            )
            covered = torch.zeros(spec.generator_groups, 30, dtype=torch.int)
            for block in found:
                covered[block.generator_groups, block.positions] += 1
                count = block.generator_groups.stop - block.generator_groups.start
                if count < spec.per_group:
                    cuts.add("generator group")
                else:
                    cuts.add("group" if count < spec.generator_groups else "all")
                generator_groups = range(block.generator_groups.start, block.generator_groups.stop)
                groups = {index // spec.per_group for index in generator_groups}
                assert groups == set(range(block.groups.start, block.groups.stop))
            assert (covered == 1).all()
            assert len(found) > 1 or budget[0] == 2000
        assert cuts == {"generator group", "group", "all"}

    @pytest.mark.parametrize("name", ["pair", "shared_groups", "full"])
    def test_strided_and_dilated(self, name):
        geometry = {**GEOMETRY["generator_mixed_strided"], "batch": 3}
        problem = make(squash="hardtanh", normalize=True, **geometry, **FORMS[name])
        cotangent = torch.randn_like(problem.output())
        expected = problem.gradients(plain_adaptive_conv, cotangent)
        with budgets(150, 2, 300):
            assert_all_match(problem.gradients(cotangent=cotangent), expected, 1e-12)

    @pytest.mark.parametrize("wanted", ["padded", "weight", "bias", "gain", "scale"])
    def test_gradient_of_one_tensor_only(self, wanted):
        problem = make(squash="gaussian", normalize=True)
        found = []
        for way in WAYS.values():
            leaf = problem.tensors[wanted].detach().requires_grad_()
            problem.output(way, **{wanted: leaf}).square().sum().backward()
            found.append(leaf.grad)
        for one in found:
            assert_matches(one, found[2])

    @pytest.mark.parametrize("squash", ["tanh", "hardtanh"])
    def test_small_kernels_keep_their_sign_when_normalised(self, squash):
        """Rounding to a multiple of 1e-7 before the division would destroy them."""
        problem = make(squash=squash, normalize=True, kernel=(1, 1)).to(torch.float32)
        for name in ("weight", "bias"):
            problem.tensors[name] = problem.tensors[name] * 1e-9
        expected = problem.output(WAYS["plain"])
        for name, way in WAYS.items():
            assert_matches(problem.output(way), expected, name=name)

    def test_kernels_are_never_formed_whole(self):
        """No tensor is nearly as large as the kernels, and autograd stores the inputs only."""
        problem = make(channels=(8, 16), signal=(32, 32), padding=1, batch=8).to(torch.float32)
        kernels = 8 * 8 * 16 * 9 * 32 * 32
        leaves = {name: one.requires_grad_() for name, one in problem.tensors.items()}
        largest, kept = [], []

        class Watch(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                found = func(*args, **(kwargs or {}))
                largest.append(max((t.numel() for t in tree_leaves(found) if isinstance(t, Tensor)), default=0))
                return found

        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t)
        with Watch():
            with hooks:
                y = problem.output(**leaves)
            y.sum().backward()
        assert max(largest) <= kernels / 8
        assert sum(kept) <= 2 * sum(one.numel() for one in leaves.values())

        kept.clear()
        with hooks:
            problem.output(WAYS["kept"], **leaves)
        assert sum(kept) >= kernels

    @pytest.mark.parametrize("name", ["two_axes", "three_axes", "stride", "stride_and_dilation", "generator_larger"])
    def test_a_large_sample_is_unfolded_row_by_row(self, name, monkeypatch):
        problem = make(**{**GEOMETRY[name], "batch": 1})
        cotangent, heights = torch.randn_like(problem.output()), []
        expected = problem.gradients(plain_adaptive_conv, cotangent)

        def noted(padded, spec, *, ones):
            heights.append(spec.output_size(padded.shape)[0])
            return unfold(padded, spec, ones=ones)

        monkeypatch.setattr(blocks, "unfold", noted)
        with budgets(2**20, 64, 1):
            assert_all_match(problem.gradients(cotangent=cotangent), expected, 1e-12)
        assert heights == [1] * 2 * cotangent.shape[2]  # forward and backward


class TestGradients:
    @pytest.mark.parametrize("normalize", [False, True])
    @pytest.mark.parametrize("squash", SQUASHES)
    def test_gradcheck_and_gradgradcheck(self, squash, normalize):
        # TestTwin and TestBlocks compare every sharing with loops and with autograd's gradients.
        sharing = SHARINGS[(SQUASHES.index(squash) + normalize) % 3]
        problem = make(sharing, squash, signal=(4,), kernel=(2,), normalize=normalize, batch=1)
        names = list(problem.tensors)
        leaves = tuple(one.requires_grad_() for one in problem.tensors.values())
        run = lambda *given: problem.output(**dict(zip(names, given, strict=True)))  # noqa: E731
        assert torch.autograd.gradcheck(run, leaves, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)

    @pytest.mark.parametrize("name", ["stride_and_dilation", "generator_mixed_strided", "generator_three_axes"])
    def test_gradcheck_of_geometry(self, name):
        problem = make("full", channels=(2, 1), **{**GEOMETRY[name], "batch": 1})
        names = list(problem.tensors)
        leaves = tuple(one.requires_grad_() for one in problem.tensors.values())
        run = lambda *given: problem.output(**dict(zip(names, given, strict=True)))  # noqa: E731
        assert torch.autograd.gradcheck(run, leaves, fast_mode=True)
        assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)

    @pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own decompositions use it
    def test_forward_mode(self):
        problem = make(squash="gaussian", signal=(4,), kernel=(2,), normalize=True, batch=1)
        names = list(problem.tensors)
        leaves = tuple(one.requires_grad_() for one in problem.tensors.values())
        run = lambda *given: problem.output(**dict(zip(names, given, strict=True)))  # noqa: E731
        assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True, check_backward_ad=False)

    @pytest.mark.parametrize("bias", [True, False])
    def test_the_derived_gradients(self, bias):
        """Loops over the three formulas that differentiate tanh by hand."""
        k, r, n = 3, 1, (4, 3)
        problem = make(channels=(2, 2), signal=n, padding=1, bias=bias, batch=1)
        x, q = problem.x[0], problem.tensors["weight"].view(2, 2, k * k, k * k)  # Q[c, o, u, a]
        beta = problem.tensors["bias"].view(2, 2, k * k) if bias else torch.zeros(2, 2, k * k, dtype=torch.float64)
        g = torch.randn(1, 2, *n, dtype=torch.float64)
        offsets = list(itertools.product(range(-r, r + 1), repeat=2))
        places = list(itertools.product(*map(range, n)))
        inside = lambda i, j: 0 <= i < n[0] and 0 <= j < n[1]  # noqa: E731
        at = lambda c, p, u: x[c, p[0] + u[0], p[1] + u[1]].item() if inside(p[0] + u[0], p[1] + u[1]) else 0.0  # noqa: E731

        of_beta, of_q, of_x = torch.zeros_like(beta), torch.zeros_like(q), torch.zeros_like(x)
        for o, c, p in itertools.product(range(2), range(2), places):
            go = g[0, o, p[0], p[1]].item()
            for i, u in enumerate(offsets):
                said = sum(q[c, o, i, j].item() * at(c, p, a) for j, a in enumerate(offsets))
                kernel = math.tanh(beta[c, o, i].item() + said)
                slope = go * (1 - kernel**2) * at(c, p, u)
                of_beta[c, o, i] += slope
                if inside(p[0] + u[0], p[1] + u[1]):
                    of_x[c, p[0] + u[0], p[1] + u[1]] += go * kernel
                for j, a in enumerate(offsets):
                    of_q[c, o, i, j] += slope * at(c, p, a)
                    if inside(p[0] + a[0], p[1] + a[1]):
                        of_x[c, p[0] + a[0], p[1] + a[1]] += slope * q[c, o, i, j].item()
        for way in WAYS.values():
            found = problem.gradients(way, g)
            assert_matches(found["padded"][0, :, 1:-1, 1:-1], of_x)
            assert_matches(found["weight"].view_as(of_q), of_q)
            if bias:
                assert_matches(found["bias"].view_as(of_beta), of_beta)

    def test_third_derivative(self):
        """Gradients of gradients stay differentiable."""
        problem = make(signal=(3,), kernel=(2,), channels=(1, 1), batch=1)
        found = []
        for way in (adaptive_conv, plain_adaptive_conv):
            x = problem.tensors["padded"].detach().requires_grad_()
            value = problem.output(way, padded=x).sum()
            for _ in range(3):
                (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
            found.append(value)
        assert found[1].abs().max() > 0
        assert_matches(*found)


class TestDtypesAndFormats:
    @pytest.mark.parametrize("squash", SQUASHES)
    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_float32(self, sharing, squash):
        problem = make(sharing, squash, channels=(4, 4), signal=(9, 8), padding=1, batch=2)
        spec, exact = problem.spec, problem.gradients(plain_adaptive_conv)
        window = math.prod(spec.generator)
        generated = spec.generator_in_channels * window  # terms of a generator's output
        applied = 4 * spec.taps  # terms of an output; as many outputs read a sample
        terms = {"output": generated + applied, "padded": generated + applied + spec.generator_out_channels * window}
        for name, value in problem.to(torch.float32).gradients().items():
            assert value.dtype is torch.float32
            # A parameter's gradient is a sum over windows, and over the channels that share a kernel.
            bound = float32_bound(terms.get(name, generated + exact["output"].numel()))
            assert_matches(value.detach(), exact[name].detach(), bound, name)

    @pytest.mark.parametrize("wanted", [False, True])
    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_memory_format(self, sharing, wanted):
        problem = make(sharing, channels=(3, 2))
        x = problem.tensors["padded"]
        expected = problem.gradients(plain_adaptive_conv)
        formats = {
            "channels_last": x.to(memory_format=torch.channels_last),
            "transposed": x.mT.contiguous().mT,
            "batch_last": x.movedim(0, -1).contiguous().movedim(-1, 0),
            "every_second": F.pad(x.unsqueeze(-1), (0, 1)).flatten(-2)[..., ::2],
            "part": F.pad(x, (2, 1, 1, 3))[..., 1:-3, 2:-1],
        }
        for name, given in formats.items():
            assert torch.equal(given, x)
            assert not given.is_contiguous()
            given.requires_grad_(wanted)
            y = problem.output(padded=given)
            assert_matches(y, expected["output"], name=name)
            if wanted:
                y.sum().backward()
                assert_matches(given.grad, expected["padded"], name=name)

    def test_expanded_input(self):
        problem = make()
        one = problem.tensors["padded"][:1, :1].detach().requires_grad_()
        found = []
        for way in (adaptive_conv, plain_adaptive_conv):
            y = problem.output(way, padded=one.expand(3, 2, -1, -1))
            found.append({"y": y, "gradient": torch.autograd.grad(y.sum(), one)[0]})
        assert_all_match(*found)

    @pytest.mark.parametrize("way", WAYS)
    def test_empty_batch(self, way):
        for sharing, squash in itertools.product(SHARINGS, SQUASHES):
            problem = make(sharing, squash, channels=(4, 6), groups=2, signal=(6,), kernel=(3,), batch=0)
            leaves = {name: one.requires_grad_() for name, one in problem.tensors.items()}
            y = problem.output(WAYS[way], **leaves)
            assert y.shape == (0, 6, 4), (sharing, squash)
            y.sum().backward()
            for name, leaf in leaves.items():
                assert leaf.grad.count_nonzero() == 0, (sharing, squash, name)
            with torch.no_grad():
                assert problem.output(WAYS[way]).shape == (0, 6, 4), (sharing, squash)

    def test_inputs_are_left_alone(self):
        for squash in SQUASHES:
            problem = make(squash=squash)
            before = {name: one.clone() for name, one in problem.tensors.items()}
            problem.gradients()
            assert all(torch.equal(before[name], one) for name, one in problem.tensors.items())

    def test_a_squash_that_gives_back_what_it_got(self):
        problem = make()
        spec = dataclasses.replace(problem.spec, squash=lambda z: z)
        problem = dataclasses.replace(problem, spec=spec)
        assert_all_match(problem.gradients(), problem.gradients(plain_adaptive_conv))


class TestTransforms:
    @pytest.mark.parametrize("squash", ["tanh", "softmax"])
    def test_func_grad(self, squash):
        problem = make(squash=squash)
        expected = problem.gradients(plain_adaptive_conv)
        expected.pop("output")
        found = torch.func.grad(lambda tensors: problem.output(**tensors).sum())(problem.tensors)
        assert_all_match(found, expected)

    def test_vmap_over_samples_and_over_parameters(self):
        problem = make("full")
        each = torch.func.vmap(lambda one: problem.output(padded=one[None])[0])(problem.tensors["padded"])
        assert_matches(each, problem.output())
        weights = torch.randn(3, *problem.tensors["weight"].shape, dtype=torch.float64)
        each = torch.func.vmap(lambda one: problem.output(weight=one))(weights)
        assert_matches(each, torch.stack([problem.output(weight=one) for one in weights]))

    def test_gradients_per_sample(self):
        problem = make()
        loss = lambda weight, one: problem.output(weight=weight, padded=one[None]).square().sum()  # noqa: E731
        each = torch.func.vmap(torch.func.grad(loss), (None, 0))(problem.tensors["weight"], problem.tensors["padded"])
        total = torch.func.grad(lambda weight: problem.output(weight=weight).square().sum())(problem.tensors["weight"])
        assert_matches(each.sum(0), total)


OPERATOR = {
    "tanh": {"sharing": "pair"},
    "groups": {"sharing": "pair", "channels": (4, 2), "groups": 2, "bias": False},
    "gaussian": {"sharing": "full", "squash": "gaussian", "normalize": True, "generator": (2, 5)},
    "softmax": {"sharing": "shared", "squash": "softmax", "stride": 2},
}


class TestOperator:
    """The custom operators that compilers call."""

    def given(self, name):
        problem = make(signal=(5, 4), batch=1, **OPERATOR[name])
        leaves = {key: one.requires_grad_() for key, one in problem.tensors.items()}
        return problem, leaves

    @pytest.mark.parametrize("name", OPERATOR)
    def test_equals_the_plain_form(self, name):
        problem, leaves = self.given(name)
        matrices = embed(leaves["weight"], leaves.get("bias"), problem.spec)
        y = traced_adaptive_conv(leaves["padded"], matrices, problem.spec, leaves.get("gain"), leaves.get("scale"))
        cotangent = torch.randn_like(y)
        found = torch.autograd.grad(y, tuple(leaves.values()), cotangent)
        expected = problem.gradients(plain_adaptive_conv, cotangent)
        assert_all_match({"output": y, **dict(zip(leaves, found, strict=True))}, expected)

    @pytest.mark.parametrize("name", OPERATOR)
    def test_opcheck(self, name):
        problem, leaves = self.given(name)
        spec = problem.spec
        matrices = embed(leaves["weight"], leaves.get("bias"), spec).detach().requires_grad_()
        tensors = (leaves["padded"], matrices, leaves.get("gain"), leaves.get("scale"))
        packed_spec = pack_spec(spec)
        torch.library.opcheck(torch.ops.flexkern.adaptive_conv, (*tensors, packed_spec))
        gradient = torch.randn_like(problem.output())
        given = tuple(None if one is None else one.detach() for one in tensors)
        one_side = ([True, False], [False, True]) if name == next(iter(OPERATOR)) else ()
        for needs in ([True, True], *one_side):
            torch.library.opcheck(torch.ops.flexkern.adaptive_conv_gradients, (gradient, *given, packed_spec, needs))
