"""What evaluation reuses - sampled weights and their spectra - is reused, and never stale."""

import copy
import functools
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from flexkern import SIREN, CKConv1d, FlexConv1d, FlexConv2d, GaussianWindow, SeparableFlexConv2d, freeze_sizes
from tolerances import assert_matches

SMALL = SIREN(hidden=4)
LAYERS = {
    "ck_1d": lambda **more: CKConv1d(2, 3, 9, padding="same", generator=SMALL, **more),
    "flex_1d": lambda **more: FlexConv1d(2, 3, 15, padding="same", generator=SMALL, **more),
    "flex_2d": lambda **more: FlexConv2d(2, 3, (9, 7), padding="same", generator=SMALL, **more),
    "per_channel": lambda **more: FlexConv1d(
        2, 3, 15, padding="same", generator=SMALL, window=GaussianWindow(per_channel=True), **more
    ),
    "separable": lambda **more: SeparableFlexConv2d(2, 3, 9, padding="same", generator=SMALL, **more),
    "table": lambda **more: FlexConv1d(2, 3, 15, padding="same", generator="table", **more),
}
KINDS = pytest.mark.parametrize("kind", LAYERS)
ENGINES = pytest.mark.parametrize("engine", ["auto", "direct", "fft", "dft", "overlap_save"])


def make(kind: str = "flex_1d", **more) -> nn.Module:
    return LAYERS[kind](**more).eval()


def conv(layer: nn.Module) -> nn.Module:
    return getattr(layer, "depthwise", layer)


def signal(layer: nn.Module, samples: int = 12) -> Tensor:
    parameter = conv(layer).generator.readout_weight
    return torch.randn(2, 2, *(samples,) * conv(layer).dims, dtype=parameter.dtype)


def evaluate(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(x)


def anew(layer: nn.Module, x: Tensor) -> Tensor:
    """The output with nothing reused: gradients are recorded."""
    with torch.enable_grad():
        y = layer(x)
    assert y.requires_grad
    return y.detach()


@pytest.fixture
def samplings(monkeypatch) -> list[int]:
    """One entry per evaluation of a kernel generator."""
    calls, original = [], SIREN.features_at
    monkeypatch.setattr(SIREN, "features_at", lambda *a: calls.append(1) or original(*a))
    return calls


@pytest.fixture
def transforms(monkeypatch) -> list[int]:
    """One entry per real FFT."""
    calls = []
    for name in ("rfft", "rfft2", "rfftn"):
        original = getattr(torch.fft, name)
        monkeypatch.setattr(torch.fft, name, lambda *a, f=original, **o: calls.append(1) or f(*a, **o))
    return calls


# Reused ------------------------------------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["ck_1d", "flex_1d", "flex_2d", "per_channel", "separable"])
def test_the_weight_is_sampled_once(kind, mode, engine, samplings):
    layer = make(kind, engine=engine)
    x = signal(layer)
    with mode():
        samplings.clear()
        outputs = [layer(x) for _ in range(3)]
        assert len(samplings) == 1
        layer(x[:1])  # another batch needs no other weight
        assert len(samplings) == 1
    for y in outputs:
        assert_matches(y, anew(layer, x))


@pytest.mark.parametrize("kind", ["flex_1d", "flex_2d", "separable"])
def test_the_spectrum_is_made_once(kind, transforms):
    layer = make(kind, engine="fft")
    x = signal(layer)
    counts = []
    for _ in range(3):
        transforms.clear()
        evaluate(layer, x)
        counts.append(len(transforms))
    assert counts[0] > counts[1] == counts[2] >= 1


def test_another_length_gets_another_spectrum():
    layer = make(engine="fft")
    for samples in (12, 40, 12, 7, 40):
        x = signal(layer, samples)
        assert_matches(evaluate(layer, x), anew(layer, x))


def test_frozen_sizes_reuse_too(samplings):
    layer = freeze_sizes(make())
    x = signal(layer)
    samplings.clear()
    assert_matches(evaluate(layer, x), evaluate(layer, x), 1e-300)
    assert len(samplings) == 1


def test_two_layers_do_not_meet():
    layers = [make() for _ in range(4)]
    x = signal(layers[0])
    expected = [anew(layer, x) for layer in layers]
    for _ in range(2):
        for layer, y in zip(layers, expected, strict=True):
            assert_matches(evaluate(layer, x), y)


# Not while gradients are recorded ----------------------------------------------------------------------------


@ENGINES
def test_gradients_are_recorded_anew(engine, samplings):
    layer = make(engine=engine)
    x = signal(layer)
    evaluate(layer, x)
    samplings.clear()
    for _ in range(2):
        layer.zero_grad()
        layer(x).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
    assert len(samplings) == 2


@ENGINES
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradient_of_the_input_of_a_frozen_layer_after_evaluation(engine, mode):
    layer = make(engine=engine).requires_grad_(False)
    x = signal(layer)
    with mode():
        layer(x)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    layer(ours).square().sum().backward()
    copy.deepcopy(layer)(theirs).square().sum().backward()
    assert_matches(ours.grad, theirs.grad)


@ENGINES
def test_inference_mode_leaves_nothing_that_training_trips_over(engine):
    layer = make(engine=engine)
    x = signal(layer)
    with torch.inference_mode():
        first = layer(x)
    layer.train()(x).sum().backward()
    assert_matches(evaluate(layer.eval(), x), first)
    with torch.inference_mode():
        assert_matches(layer(x), first)


def test_a_layer_made_in_inference_mode_is_never_stale():
    """Its parameters have no version to look at."""
    with torch.inference_mode():
        layer = make()
        x = signal(layer)
        before = layer(x)
        conv(layer).generator.readout_weight.mul_(2)
        if layer.bias is not None:
            layer.bias.mul_(2)
        assert_matches(layer(x), 2 * before)


def test_autocast_and_back():
    layer = make("flex_2d")
    x = signal(layer)
    plain = evaluate(layer, x)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = evaluate(layer, x)
        assert low.dtype is torch.bfloat16
        assert_matches(low, plain)
        assert_matches(evaluate(layer, x), plain, 1e-300)


# Gone with its layer, invisible, bounded ---------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["direct", "fft"])
def test_a_deleted_layer_is_gone(engine):
    layer = make(engine=engine)
    evaluate(layer, signal(layer))
    watched = [weakref.ref(layer), *(weakref.ref(p) for p in layer.parameters())]
    del layer
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)


def live_bytes() -> int:
    gc.collect()
    return sum(each.nbytes for each in gc.get_objects() if type(each) is Tensor)


@pytest.mark.parametrize("engine", ["direct", "fft"])
def test_what_was_reused_is_gone_with_the_layer(engine):
    def use() -> None:
        layer = CKConv1d(4, 64, 255, padding="same", generator=SMALL, engine=engine).eval()
        evaluate(layer, torch.ones(1, 4, 300))

    use()
    before = live_bytes()
    for _ in range(5):
        use()
    assert live_bytes() - before < 4 * 64 * 255 * 4  # less than one weight


def test_many_lengths_do_not_add_up():
    layer = make(engine="fft")
    held = []
    for start in (1, 301, 601):
        for samples in range(start, start + 300):
            evaluate(layer, torch.ones(1, 2, samples))
        held.append(live_bytes())
    assert held[2] - held[1] <= 0.5 * held[1] + 2**20


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@KINDS
def test_invisible_in_state_and_copies(kind, duplicate):
    layer = make(kind)
    names, stored = list(layer.state_dict()), [set(vars(module)) for module in layer.modules()]
    size = len(pickle.dumps(layer))
    x = signal(layer)
    expected = evaluate(layer, x)
    assert list(layer.state_dict()) == names
    assert [set(vars(module)) for module in layer.modules()] == stored
    assert len(pickle.dumps(layer)) == size
    twin = duplicate(layer)
    assert_matches(evaluate(twin, x), expected)
    with torch.no_grad():
        conv(twin).generator.readout_weight.mul_(3)
    assert_matches(evaluate(twin, x), anew(twin, x))
    assert_matches(evaluate(layer, x), expected, 1e-300)


# Threads -----------------------------------------------------------------------------------------------------


def test_threads_share_a_layer():
    layers = [make(engine=engine) for engine in ("direct", "fft", "dft")]
    inputs = [signal(layers[0], samples) for samples in (12, 20, 31)]
    expected = {(i, j): anew(a, x) for i, a in enumerate(layers) for j, x in enumerate(inputs)}

    def work(seed: int) -> float:
        places = [(i, j) for i in range(len(layers)) for j in range(len(inputs))]
        return max(
            (evaluate(layers[i], inputs[j]) - expected[i, j]).abs().max().item()
            for i, j in places[seed % 9 :] + places[: seed % 9]
        )

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(work, range(40))) < 1e-5


def test_functional_call_uses_the_parameters_given():
    layer, other = make(), make()
    x = signal(layer)
    expected = anew(other, x)
    evaluate(layer, x)
    call = functools.partial(torch.func.functional_call, layer, dict(other.named_parameters()), (x,))
    with torch.no_grad():
        assert_matches(call(), expected)
        assert_matches(call(), expected)
    assert_matches(evaluate(layer, x), anew(layer, x))
