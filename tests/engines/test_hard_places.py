"""Unusual uses of an engine: chunks under double backward, modes, layouts, planning."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import nn

from flexkern import FlexConv2d, FlexConv3d, freeze_sizes
from flexkern.engines import ENGINES, ConvProblem, FactoredWeight, Plan, convolve, direct, plan_conv, run
from flexkern.engines.choice.candidates import SPECTRA_BYTES, fast_length
from flexkern.engines.choice.chooser import make_plan
from flexkern.engines.convolve import prepare
from flexkern.engines.plan import PassPlan
from flexkern.engines.spectral.dft import _STAGES, CACHE_BYTES, MatrixTransform, TensorCache
from flexkern.engines.spectral.fft import FrequencyFirstTransform
from flexkern.engines.spectral.tiling import tile_problem
from flexkern.engines.weight import from_factors
from tolerances import assert_matches

EACH = pytest.mark.parametrize("engine", ENGINES)
COMPILED = pytest.mark.parametrize(
    "engine",
    [
        "direct",
        "fft",
        pytest.param("dft", marks=pytest.mark.slow),
        pytest.param("overlap_save", marks=pytest.mark.slow),
    ],
)
"""Compiled code calls one operator by the engine's name, and opcheck tries it with every name."""
DOUBLE = {"dtype": torch.float64, "requires_grad": True}


@EACH
def test_gradients_of_gradients_of_a_chunked_plan(engine):
    problem = ConvProblem(3, 2, 2, (6, 5), (3, 3), padding=((1, 1),) * 2)
    steps = [dataclasses.replace(step, batch_chunk=1) for step in plan_conv(problem, engine).passes]
    plan = Plan(problem, *steps)
    arguments = torch.randn(3, 2, 6, 5, **DOUBLE), torch.randn(2, 2, 3, 3, **DOUBLE)
    assert torch.autograd.gradgradcheck(lambda x, w: run(x, w, plan), arguments, fast_mode=True)


@EACH
@pytest.mark.parametrize("create_graph", [False, True])
def test_only_the_bias_needs_a_gradient(engine, create_graph):
    x, w, bias = torch.randn(2, 3, 9), torch.randn(4, 3, 5), torch.randn(4, requires_grad=True)
    (gradient,) = torch.autograd.grad(convolve(x, w, bias, engine=engine).sum(), bias, create_graph=create_graph)
    assert_matches(gradient.detach(), torch.full((4,), 10.0))


@EACH
def test_jacobian_by_batched_gradients(engine):
    x, w = torch.randn(1, 2, 7, **DOUBLE), torch.randn(2, 2, 3, **DOUBLE)
    found, slowly = (
        torch.autograd.functional.jacobian(lambda x, w: convolve(x, w, engine=engine), (x, w), vectorize=vectorize)
        for vectorize in (True, False)
    )
    for one, other in zip(found, slowly, strict=True):
        assert_matches(one, other)


@pytest.mark.parametrize("mode", ["train", "evaluate"])
@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_a_layer_whose_kernel_is_not_finite_says_so(engine, mode):
    layer = FlexConv2d(2, 3, 9, padding="same", engine=engine)
    with torch.no_grad():
        layer.generator.readout_weight[0, 0] = torch.nan
    with torch.set_grad_enabled(mode == "train"), pytest.raises(ValueError, match="`weight` must be finite, got 1 "):
        layer(torch.randn(1, 2, 12, 12))


@EACH
def test_evaluation_under_autocast(engine):
    layer = FlexConv2d(4, 6, 15, padding="same", engine=engine, init_size=9).eval()
    x = torch.randn(2, 4, 16, 16)
    with torch.no_grad():
        exact = layer(x)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                y = layer(x)
            assert y.dtype is torch.bfloat16
            assert_matches(y, exact, 3e-2)


@EACH
def test_differentiation_after_inference_mode(engine):
    """Matrices of a transform that were computed in inference mode first."""
    x, w = torch.randn(1, 2, 23, **DOUBLE), torch.randn(2, 2, 11, **DOUBLE)
    with torch.inference_mode():
        convolve(x, w, engine=engine)
    y = convolve(x, w, engine=engine)
    (gradient,) = torch.autograd.grad(y.square().sum(), w, create_graph=True)
    gradient.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("channels_last", [False, True])
def test_one_input_channel_keeps_the_layout(channels_last):
    """Its tensor is contiguous in both layouts; the output must have torch's layout, whatever the plan."""
    problem = ConvProblem(8, 1, 24, (20, 20), (9, 9), padding=((4, 4),) * 2)
    step = PassPlan("direct", channels_last=channels_last)
    x, w = torch.randn(8, 1, 20, 20), torch.randn(24, 1, 9, 9)
    y = run(x, w, Plan(problem, step, step, step))
    assert y.is_contiguous()
    assert_matches(y, torch.nn.functional.conv2d(x, w, padding=4))


def test_default_device_does_not_matter():
    convolve(torch.randn(1, 1, 37), torch.randn(1, 1, 19), engine="dft")
    with torch.device("meta"):
        x, w = torch.randn(1, 1, 41, device="cpu"), torch.randn(1, 1, 19, device="cpu")
        assert convolve(x, w, engine="dft").device.type == "cpu"


@COMPILED
def test_a_frozen_layer_compiles_in_one_graph(engine):
    torch.compiler.reset()
    layer = FlexConv2d(2, 3, 9, padding="same", engine=engine, init_size=5)
    freeze_sizes(layer)
    x = torch.randn(2, 2, 12, 12)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert_matches(compiled(x), layer(x))
    weights = list(layer.generator.parameters())
    for tensors in ([x], weights, [x, *weights]):
        x.requires_grad_(tensors[0] is x)
        layer.generator.requires_grad_(tensors != [x])
        found, expected = (torch.autograd.grad(call(x).square().sum(), tensors) for call in (compiled, layer))
        for one, other in zip(found, expected, strict=True):
            assert_matches(one, other)


@EACH
@pytest.mark.parametrize("needs", [[True, True], [True, False], [False, True]])
def test_opcheck_of_the_compiled_gradients(engine, needs):
    x, gradient, weight = torch.randn(2, 4, 9), torch.randn(2, 6, 9), torch.randn(6, 4, 3)
    factored = [torch.randn(6, 4, 2), torch.randn(2, 3)]
    for tensors in ([weight], factored):
        options = (tensors, [1, 1, 1, 1, 1], ",".join([engine] * 3), needs)
        torch.library.opcheck(torch.ops.flexkern.convolve_gradients, (gradient, x, *options))
        counts = len(torch.ops.flexkern.convolve_gradients(gradient, x, *options))
        assert counts == needs[0] + len(tensors) * needs[1]


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_features_are_transformed_instead_of_all_kernels(engine, monkeypatch):
    """Eight by eight kernels of three features: three transforms, not sixty-four."""
    counts = []
    for transform in (MatrixTransform, FrequencyFirstTransform):
        analyse = transform.analyse

        def counted(self, samples, positions, analyse=analyse):
            counts.append(samples.shape[: -len(positions)].numel())
            return analyse(self, samples, positions)

        monkeypatch.setattr(transform, "analyse", counted)
    weight = FactoredWeight(torch.randn(8, 8, 3, requires_grad=True), torch.randn(3, 5, 5))
    convolve(torch.randn(1, 8, 40, 40), weight, engine=engine).sum().backward()
    assert counts.count(3) == 2  # forward, and again in backward
    assert 64 not in counts


@EACH
def test_the_first_call_of_compiled_code_is_correct(engine):
    """Depthwise complex products once lost their conjugate there."""
    torch.compiler.reset()
    layer = freeze_sizes(FlexConv3d(2, 2, 5, padding="same", groups=2, dtype=torch.float64, engine=engine))
    x = torch.randn(2, 2, 6, 5, 7, dtype=torch.float64)
    assert_matches(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), layer(x))


@EACH
def test_export_leaves_nothing_behind(engine):
    """The next eager call must not use tensors of the tracer."""
    layer = FlexConv2d(2, 3, 9, padding="same", engine=engine, init_size=7).eval()
    freeze_sizes(layer)
    x = torch.randn(1, 2, 13, 13)
    assert_matches(torch.export.export(layer, (x,)).module()(x), layer(x))
    assert_matches(layer(x), layer(x.clone()))


def test_matrices_are_cached_within_bounds():
    cache = TensorCache(lambda tensor: [tensor], limit=1000)
    first = cache.get("first", lambda: torch.ones(50))
    assert cache.get("first", lambda: torch.zeros(50)) is first
    for number in range(10):
        cache.get(number, lambda: torch.ones(50))
    assert cache.get("first", lambda: torch.zeros(50)) is not first  # 200 bytes each: five fit
    assert cache.get("large", lambda: torch.ones(100)) is not cache.get("large", lambda: torch.ones(100))
    x = torch.randn(3, 30)
    for length in range(30, 400):
        MatrixTransform((length,)).analyse(x, (range(30),))
    assert 0 < _STAGES.nbytes <= CACHE_BYTES


class Priced:
    """A cost model with one price per pass and engine, and what an engine saves by sharing."""

    table: ClassVar[dict[str, dict[str, float]]] = {
        "forward": {"direct": 9, "fft": 1, "dft": 9, "overlap_save": 9},
        "input_gradient": {"direct": 9, "fft": 6, "dft": 4, "overlap_save": 5},
        "weight_gradient": {"direct": 9, "fft": 7, "dft": 9, "overlap_save": 6},
    }
    saved: ClassVar[dict[str, float]] = {"direct": 0, "fft": 4, "dft": 1, "overlap_save": 4}

    def seconds(self, problem, plan, name):
        return self.table[name][plan.engine]

    def shared_seconds(self, problem, plan):
        return self.saved[plan.engine]


def test_both_gradients_try_every_pass_s_plan():
    """Apart they take 4 + 6; by the plan of the forward pass 6 + 7 - 4, by that of the weight gradient 5 + 6 - 4."""
    plan = make_plan(ConvProblem(8, 16, 16, (4096,), (301,), padding=((150, 150),)), costs=Priced())
    assert [step.engine for step in plan.passes] == ["fft", "overlap_save", "overlap_save"]
    assert [step.seconds for step in plan.passes] == [1, 5, 6]


@pytest.mark.parametrize("padding", [((-15, 15),), ((9, -5),), ((-5, 9),)])
def test_padding_that_cuts_everything_off_is_refused(padding):
    with pytest.raises(ValueError, match="`padding` must leave something of the signal"):
        convolve(torch.ones(1, 1, 4), torch.ones(1, 1, 2), padding=padding)


def test_factors_may_be_of_a_finer_dtype_than_the_signal():
    """As under autocast, where the weight must not be rounded before its transform."""
    problem = ConvProblem(2, 3, 4, (17,), (9,), padding=((4, 4),), features=2)
    x = torch.randn(2, 3, 17).bfloat16()
    weight = FactoredWeight(torch.randn(4, 3, 2), torch.randn(2, 9))
    for engine in ENGINES:
        y = run(x, weight, plan_conv(problem, engine))
        assert y.dtype is torch.bfloat16
        exact = run(x.float(), weight, plan_conv(problem, "direct"))
        assert_matches(y, exact, 3e-2)


TILE_RANGES = {
    "causal": ConvProblem(2, 3, 4, (61,), (9,), padding=((8, 0),)),
    "strided_dilated": ConvProblem(1, 2, 2, (83,), (5,), stride=(3,), padding=((4, 7),), dilation=(2,)),
    "more_padding_than_signal": ConvProblem(1, 2, 2, (11,), (5,), padding=((30, 25),)),
    "negative": ConvProblem(1, 2, 3, (70,), (7,), padding=((-9, -6),)),
    "images": ConvProblem(2, 2, 3, (40, 23), (5, 7), padding=((2, 2), (3, 3))),
    "depthwise": ConvProblem(1, 3, 3, (40, 23), (5, 7), padding=((4, 1), (0, 3)), groups=3),
    "grouped": ConvProblem(1, 4, 6, (50,), (6,), padding=((2, 3),), groups=2),
}


@pytest.mark.parametrize("tile_rows", [1, 2, 3])
@pytest.mark.parametrize("factored", [False, True])
@pytest.mark.parametrize("name", TILE_RANGES)
def test_ranges_of_tiles_change_nothing(name, factored, tile_rows):
    problem = TILE_RANGES[name]
    tile = (7, 8)[: len(problem.signal)]
    steps = []
    for matrices in (True, False):
        lengths = tile_problem(problem, tile).minimum_lengths
        lengths = lengths if matrices else tuple(map(fast_length, lengths))
        steps.append(PassPlan("overlap_save", lengths, tile=tile, matrices=matrices, tile_rows=tile_rows))
    x = torch.randn(problem.batch, problem.in_channels, *problem.signal, **DOUBLE)
    per_group = problem.in_channels // problem.groups
    tensors = [torch.randn(problem.out_channels, per_group, *problem.kernel, **DOUBLE)]
    if factored:
        tensors = [torch.randn(problem.out_channels, per_group, 2, **DOUBLE), torch.randn(2, *problem.kernel, **DOUBLE)]

    def values(plan):
        y = run(x, from_factors(tensors), plan)
        return [y, *torch.autograd.grad(y, (x, *tensors), torch.cos(torch.arange(y.numel()).view(y.shape)).double())]

    exact = values(plan_conv(problem, "direct"))
    for step in steps:
        for one, other in zip(values(Plan(problem, step, step, step)), exact, strict=True):
            assert_matches(one, other)


CHANNELS = {
    "sequence": ConvProblem(3, 5, 5, (61,), (9,), padding=((4, 4),), groups=5),
    "one_signal": ConvProblem(1, 5, 5, (64,), (65,), padding=((64, 0),), groups=5),
    "strided_dilated": ConvProblem(2, 7, 7, (83,), (5,), stride=(3,), padding=((4, 7),), dilation=(2,), groups=7),
    "images": ConvProblem(2, 5, 5, (20, 13), (5, 7), padding=((4, 1), (0, 3)), groups=5),
    "volumes": ConvProblem(1, 4, 4, (6, 5, 7), (3, 4, 3), padding=((1, 1), (2, 2), (-1, 1)), groups=4),
}


@pytest.mark.parametrize(("channel_chunk", "batch_chunk"), [(1, 0), (2, 0), (2, 1), (3, 2), (9, 0)])
@pytest.mark.parametrize("factored", [False, True])
@pytest.mark.parametrize("name", CHANNELS)
def test_chunks_of_channels_change_nothing(name, factored, channel_chunk, batch_chunk):
    problem = CHANNELS[name]
    step = dataclasses.replace(plan_conv(problem, "fft").forward, channel_chunk=channel_chunk, batch_chunk=batch_chunk)
    x = torch.randn(problem.batch, problem.groups, *problem.signal, **DOUBLE)
    tensors = [torch.randn(problem.groups, 1, *problem.kernel, **DOUBLE)]
    if factored:
        tensors = [torch.randn(problem.groups, 1, 2, **DOUBLE), torch.randn(2, *problem.kernel, **DOUBLE)]

    def values(plan):
        y = run(x, from_factors(tensors), plan)
        return [y, *torch.autograd.grad(y, (x, *tensors), torch.cos(torch.arange(y.numel()).view(y.shape)).double())]

    plan = Plan(problem, step, step, step)
    for one, other in zip(values(plan), values(plan_conv(problem, "direct")), strict=True):
        assert_matches(one, other)
    with torch.no_grad():
        again = run(x, from_factors(tensors), plan, prepared=prepare(from_factors(tensors), plan))
    assert_matches(again, values(plan)[0])


def test_large_spectra_are_computed_in_chunks_of_channels():
    """Larger tensors do not fit into the caches, or exceed 32 MB, and the system clears those at every call."""
    long = ConvProblem(1, 64, 64, (262_144,), (65_537,), padding=((32_768,) * 2,), groups=64)
    assert plan_conv(long, "fft").forward.channel_chunk == 8
    assert "8 channels at a time" in plan_conv(long, "fft").explain()
    small = ConvProblem(8, 64, 64, (32, 32), (33, 33), padding=((16, 16),) * 2, groups=64)
    assert plan_conv(small, "fft").forward.channel_chunk == 0


def test_a_long_signal_is_computed_in_ranges_of_tiles():
    long = ConvProblem(1, 30, 30, (480_000,), (1301,), padding=((1300, 0),))
    assert plan_conv(long, "overlap_save").forward.tile_rows > 0
    assert "rows of tiles at a time" in plan_conv(long, "overlap_save").explain()


@pytest.mark.parametrize("lies_last", [False, True])
@pytest.mark.parametrize("converts", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 6, 7), (5, 3, 4, 5, 6)])
def test_direct_chunks_keep_the_layout(shape, converts, lies_last):
    layout = direct.CHANNELS_LAST[len(shape) - 2] if lies_last else torch.contiguous_format
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    weight, bias = torch.randn(4, 3, *(3,) * (len(shape) - 2), **DOUBLE), torch.randn(4, **DOUBLE)
    problem = ConvProblem(5, 3, 4, shape[2:], weight.shape[2:], channels_last=lies_last)
    plans = [Plan(problem, *(PassPlan("direct", batch_chunk=chunk, channels_last=converts),) * 3) for chunk in (0, 2)]
    whole, parts = (run(x, weight, plan, bias) for plan in plans)
    assert not plans[1].by_torch
    assert_matches(parts, whole)
    assert direct.lies_channels_last(parts) == lies_last  # torch itself does not always keep it
    for one, other in zip(
        *(torch.autograd.grad(y.square().sum(), (x, weight, bias)) for y in (parts, whole)), strict=True
    ):
        assert_matches(one, other)


@pytest.mark.parametrize("needs", [("x",), ("w",), ("x", "w")])
@pytest.mark.parametrize("lies_last", [False, True])
def test_direct_chunks_with_uneven_padding(needs, lies_last):
    """Gradients of either or both, from a gradient that is expanded: it has strides of 0."""
    layout = torch.channels_last if lies_last else torch.contiguous_format
    x, w = torch.randn(5, 3, 6, 7, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    tensors = {"x": x.to(memory_format=layout), "w": w}
    for name in needs:
        tensors[name].requires_grad_()
    problem = ConvProblem(5, 3, 4, (6, 7), (3, 3), padding=((2, 0), (-1, 3)), channels_last=lies_last)
    found = []
    for chunk in (0, 2):
        y = run(
            tensors["x"], tensors["w"], Plan(problem, *(PassPlan("direct", batch_chunk=chunk, channels_last=True),) * 3)
        )
        gradient = torch.ones((), dtype=y.dtype).expand(y.shape)
        found.append((y, *torch.autograd.grad(y, [tensors[name] for name in needs], gradient)))
    for one, other in zip(*found, strict=True):
        assert_matches(one, other)


def test_direct_chunks_are_added_in_float32():
    """A sum of many terms in bfloat16 would lose the smaller ones."""
    x, w = torch.rand(64, 1, 32), torch.rand(1, 1, 3)
    problem = ConvProblem(64, 1, 1, (32,), (3,))

    def gradient(dtype, chunk):
        weight = w.to(dtype).requires_grad_()
        y = run(x.to(dtype), weight, Plan(problem, *(PassPlan("direct", batch_chunk=chunk),) * 3))
        return torch.autograd.grad(y.sum(), weight)[0].double()

    exact = gradient(torch.float64, 0)
    assert ((gradient(torch.bfloat16, 1) - exact) / exact).abs().max() < 2**-8  # that of one rounding


def test_only_a_cpu_convolves_in_chunks():
    plan = Plan(ConvProblem(4, 1, 1, (8,), (3,)), *(PassPlan("direct", batch_chunk=1),) * 3)
    assert direct._runs_in_chunks(torch.empty(4, 1, 8), plan.forward)
    assert not direct._runs_in_chunks(torch.empty(4, 1, 8, device="meta"), plan.forward)


def test_a_large_direct_convolution_is_exported_as_torchs_own():
    """Whatever its chunks and layout are in eager mode, because other programs have no operator of ours."""

    class Layer(nn.Module):
        def forward(self, x):
            return convolve(x, torch.ones(24, 24, 9, 9), padding=((4, 4),) * 2, engine="direct")

    x = torch.randn(1, 24, 192, 192)
    assert plan_conv(ConvProblem(16, 24, 24, (192, 192), (9, 9), padding=((4, 4),) * 2), "direct").forward.batch_chunk
    names = [str(node.target) for node in torch.export.export(Layer(), (x,)).graph.nodes]
    assert any("conv2d" in name for name in names)
    assert not any("flexkern" in name for name in names)


@pytest.mark.parametrize("engine", ["direct", "dft"])
@pytest.mark.parametrize("axes", [2, 3])
def test_transforms_over_images_and_volumes(axes, engine):
    """The plan of eager code would change the layout, which function transforms do not allow."""
    many, w = torch.randn(3, 2, 4, *(8,) * axes, **DOUBLE), torch.randn(4, 4, *(5,) * axes, **DOUBLE)

    def layer(x):
        return convolve(x, w, padding=((2, 2),) * axes, engine=engine)

    assert_matches(torch.func.vmap(layer)(many), torch.stack([layer(one) for one in many]))


@EACH
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_many_gradients_of_chunks_at_once(engine):
    """vmap over ``torch.autograd.grad`` of an output that was computed in chunks."""
    x = torch.randn(4, 2, 16, **DOUBLE).requires_grad_()
    problem = ConvProblem(4, 2, 2, (16,), (3,), padding=((1, 1),))
    step = dataclasses.replace(plan_conv(problem, engine).forward, batch_chunk=1)
    y = run(x, torch.randn(2, 2, 3, **DOUBLE), Plan(problem, step, step, step))

    def gradient(of):
        return torch.autograd.grad(y, x, of, retain_graph=True)[0]

    many = torch.randn(3, *y.shape, **DOUBLE)
    assert_matches(torch.func.vmap(gradient)(many), torch.stack([gradient(one) for one in many]))


@pytest.mark.parametrize("shape", [(64, 8, 512), (24, 8, 32, 32)])
@pytest.mark.parametrize("engine", ["fft", "dft", "overlap_save"])
def test_a_batch_in_chunks_without_gradients(shape, engine, monkeypatch):
    monkeypatch.setattr("flexkern.engines.choice.candidates.SPECTRA_BYTES", dict.fromkeys(SPECTRA_BYTES, 1e5))
    axes = len(shape) - 2
    problem = ConvProblem(shape[0], 8, 8, shape[2:], (9,) * axes, padding=((4, 4),) * axes)
    plan = make_plan(problem, engine)
    assert plan.forward.batch_chunk or plan.forward.tile_rows
    x, weight = torch.randn(shape, **DOUBLE), torch.randn(8, 8, *(9,) * axes, **DOUBLE)
    assert torch.is_grad_enabled()  # grad mode is on, but nothing needs a gradient
    assert_matches(run(x, weight, plan), run(x, weight, make_plan(problem, "direct")))
