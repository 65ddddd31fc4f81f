"""A model at another resolution: the authors' numbers, the limit of fine grids, ordinary layers, norms."""

import copy
import itertools
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexkern
from experiments.baselines import NJetConv2d
from flexkern import at_resolution, refresh_norms
from golden import generator_arrays, load_golden, with_prefix
from tolerances import assert_matches

LAYERS = {
    "flex1d": lambda: flexkern.FlexConv1d(2, 3, 33, padding="same"),
    "causal": lambda: flexkern.FlexConv1d(2, 3, 64, causal=True),
    "even": lambda: flexkern.FlexConv1d(2, 3, 32, padding="same"),
    "flex2d": lambda: flexkern.FlexConv2d(2, 3, (17, 9), padding="same"),
    "flex3d": lambda: flexkern.FlexConv3d(2, 3, 9, padding="same"),
    "continuous kernel": lambda: flexkern.CKConv2d(2, 3, 9, padding="same", generator="siren"),
    "separable": lambda: flexkern.SeparableFlexConv2d(2, 3, 17, padding="same"),
    "table": lambda: flexkern.FlexConv2d(2, 3, 9, padding="same", generator="table"),
    "mixture": lambda: flexkern.AdaptiveFlexConv2d(2, 3, 17, padding="same"),
    "per channel": lambda: flexkern.FlexConv2d(
        2, 3, 17, padding="same", window=flexkern.GaussianWindow(per_channel=True)
    ),
}


@pytest.mark.parametrize("prefix", ["smooth", "paper"])
@pytest.mark.parametrize("image", ["nearest", "bilinear"])
def test_the_authors_numbers(prefix, image):
    golden = load_golden("cross_resolution.npz")
    own = {**golden, **with_prefix(golden, f"{prefix}_")}
    window = flexkern.GaussianWindow(continuous=False)
    layer = flexkern.FlexConv2d(
        3, 4, 17, padding="same", generator=flexkern.MAGNet(hidden=8), window=window, dtype=torch.float64
    )
    with torch.no_grad():
        for name, value in generator_arrays(layer.generator, own).items():
            layer.generator.get_parameter(name).copy_(value)
        layer.window.set_width(own["mask_sigma"].abs())
        layer.window.centre.copy_(own["mask_mean"])
        layer.bias.copy_(own["bias"])
    fine = at_resolution(layer, 2.0)
    assert_matches(layer.weight, own["weight17"], 1e-12)
    assert_matches(fine.weight, own["weight33"], 1e-12)
    assert_matches(layer(golden["image16"]), own["y16"], 1e-12)
    assert_matches(fine(golden[f"image32_{image}"]), own[f"y32_{image}"], 1e-12)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("scale", [2.0, 1.5, 0.75])
def test_back_again_without_loss(name, scale):
    layer = LAYERS[name]().double().eval()
    there = at_resolution(layer, scale)
    back = at_resolution(there, 1 / scale)
    side = {1: (48,), 2: (24, 20), 3: (8, 8, 8)}[layer.dims]
    x = torch.randn(2, 2, *side, dtype=torch.float64)
    assert torch.equal(back(x), layer(x))
    assert there(x).shape == layer(x).shape
    assert list(there.state_dict()) == list(layer.state_dict())
    there.load_state_dict(layer.state_dict())


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "mixture"])
def test_finer_and_finer_it_is_the_same_operator(name):
    """Smooth signals, sampled more densely, give the same outputs at the same places; errors fall with the step."""
    torch.manual_seed(0)
    layer = LAYERS[name]().double().eval()
    with torch.no_grad():
        for window in (m for m in layer.modules() if isinstance(m, flexkern.GaussianWindow)):
            window.set_width(torch.full_like(window.log_width, 0.3))
    length = 40 if layer.dims == 1 else 20 if layer.dims == 2 else 12
    errors = []
    for scale in (2, 4) if layer.dims == 3 else (2, 4, 8):
        coarse, fine = (at_resolution(layer, s)(_smooth(layer.dims, length, s)) for s in (scale / 2, scale))
        apart = fine[(..., *(slice(None, None, 2),) * layer.dims)] - coarse
        inner = (..., *(slice(n // 3, n - n // 3) for n in coarse.shape[2:]))
        errors.append((apart[inner].norm() / coarse[inner].norm()).item())
    assert errors[-1] < 0.04
    assert all(later < max(0.6 * earlier, 5e-4) for earlier, later in itertools.pairwise(errors))


def _smooth(dims: int, length: int, scale: float) -> torch.Tensor:
    t = torch.arange(int(length * scale), dtype=torch.float64) / scale / length
    wave = torch.stack([torch.sin(5 * t + 1), torch.cos(4 * t)])
    for _ in range(dims - 1):
        wave = wave[..., None] * torch.cos(3 * t + 0.5)
    return wave[None]


def test_cached_kernels_are_not_those_of_another_resolution():
    layer = flexkern.FlexConv2d(1, 1, 17, padding="same").eval()
    x = torch.randn(1, 1, 20, 20)
    with torch.no_grad():
        before = layer(x)
        layer.resample(2.0)
        assert not torch.allclose(layer(x), before)
        layer.resample(0.5)
        assert torch.equal(layer(x), before)


def test_frozen_sizes_follow():
    layer = flexkern.freeze_sizes(flexkern.FlexConv2d(1, 1, 17, padding="same"))
    fine = at_resolution(layer, 2.0)
    assert fine.size == (5, 5)
    assert layer.size == (3, 3)
    exported = torch.export.export(fine.eval(), (torch.randn(1, 1, 24, 24),))
    assert exported.module()(torch.ones(1, 1, 24, 24)).shape == (1, 1, 24, 24)


def test_a_learned_size_goes_on_learning():
    fine = at_resolution(flexkern.FlexConv2d(1, 2, 17, padding="same"), 2.0)
    fine(torch.randn(1, 1, 34, 34)).square().sum().backward()
    assert fine.window.log_width.grad.abs().min() > 0


def test_explicit_padding_and_stride():
    layer = flexkern.FlexConv2d(1, 1, 9, stride=2, padding=4, dilation=2)
    fine = at_resolution(layer, 2.0)
    assert fine.padding == (8, 8)
    assert fine.stride == (2, 2)
    assert at_resolution(layer, 0.5).padding == (2, 2)
    assert fine(torch.zeros(1, 1, 40, 40)).shape[2:] == tuple(2 * n for n in layer(torch.zeros(1, 1, 20, 20)).shape[2:])


@pytest.mark.parametrize("make", [LAYERS["flex2d"], LAYERS["continuous kernel"], LAYERS["causal"]])
def test_kernels_below_one_sample_are_refused(make):
    net = nn.Sequential(nn.Identity(), make())
    with pytest.raises(ValueError, match=r"layer '1': `scale` 0.02 makes the kernel smaller than one sample"):
        at_resolution(net, 0.02)


def test_causal_kernels_span_one_side_only():
    layer = flexkern.FlexConv1d(1, 2, 64, causal=True)  # spans 0.16
    with pytest.raises(ValueError, match=r"it spans 0.161 of the \[-1, 1\] coordinate, samples would lie 0.265 apart"):
        at_resolution(layer, 0.12)
    assert at_resolution(layer, 0.25).size[0] >= 1


@pytest.mark.parametrize("scale", [0.0, -2.0, float("nan")])
def test_scales_must_be_positive(scale):
    for plain in ("keep", "enlarge"):
        with pytest.raises(ValueError, match="`scale` must be positive"):
            at_resolution(nn.Conv2d(1, 1, 3), scale, plain=plain)
    with pytest.raises(ValueError, match="`scale` must be positive"):
        at_resolution(LAYERS["flex2d"](), scale)


def test_ordinary_layers_stay_or_grow():
    conv = nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")
    assert torch.equal(at_resolution(conv, 2.0).weight, conv.weight)
    large = at_resolution(conv, 2.0, plain="enlarge")
    assert large.weight.shape == (3, 2, 5, 5)
    assert_matches(large.weight[..., ::2, ::2], conv.weight * 9 / 25)
    x = torch.randn(1, 2, 16, 16)
    assert large(x).shape == conv(x).shape
    with pytest.raises(ValueError, match="`plain` must be 'keep' or 'enlarge'"):
        at_resolution(conv, 2.0, plain="larger")


@pytest.mark.parametrize("padding", [1, "same", "valid"])
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_enlarged_layers_are_layers_of_that_size(padding, mode):
    large = at_resolution(nn.Conv2d(2, 3, 3, padding=padding, padding_mode=mode), 2.0, plain="enlarge")
    other = nn.Conv2d(2, 3, 5, padding=2 if padding == 1 else padding, padding_mode=mode)
    other.load_state_dict(large.state_dict())
    x = torch.randn(1, 2, 12, 12)
    assert torch.equal(other(x), large(x))


def test_enlarged_layers_keep_the_length_of_a_dilated_convolution():
    for size, padding, dilation in ((3, 2, 2), (5, 6, 3)):
        conv = nn.Conv1d(1, 1, size, padding=padding, dilation=dilation)
        large = at_resolution(conv, 2.0, plain="enlarge")
        assert large.dilation == conv.dilation
        x = torch.randn(1, 1, 40)
        assert large(x).shape == conv(x).shape


def test_other_things_called_resample_are_left_alone():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.resample = nn.Upsample(scale_factor=2)

    at_resolution(Block(), 2.0)


def test_subclasses_are_refused_and_shared_layers_stay_shared():
    class Own(nn.Conv1d):
        pass

    with pytest.raises(ValueError, match="layer '0': `plain='enlarge'` knows torch's own convolutions only, got Own"):
        at_resolution(nn.Sequential(Own(1, 1, 3)), 2.0, plain="enlarge")
    conv = nn.Conv1d(1, 1, 3)
    large = at_resolution(nn.ModuleDict({"a": conv, "b": conv}), 2.0, plain="enlarge")
    assert large["a"] is large["b"]
    assert large["a"].kernel_size == (5,)
    flex = flexkern.FlexConv1d(1, 1, 9)
    both = at_resolution(nn.ModuleDict({"a": flex, "b": flex}), 2.0)
    assert both["a"].kernel_size == both["b"].kernel_size == (17,)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_stay_at_their_resolution(copied):
    fine = at_resolution(flexkern.FlexConv2d(1, 1, 17, padding="same"), 1.5)
    assert copied(fine).grid == fine.grid
    assert torch.equal(copied(fine).weight, fine.weight)
    assert copied(fine).kernel_size == fine.kernel_size


def test_frozen_sizes_are_those_of_the_widths_loaded():
    layer = flexkern.FlexConv2d(1, 1, 17, padding="same", init_size=9)
    fine = flexkern.freeze_sizes(at_resolution(flexkern.FlexConv2d(1, 1, 17, padding="same"), 2.0))
    fine.load_state_dict(layer.state_dict())
    assert fine.size == at_resolution(layer, 2.0).size


def test_meta_models_change_resolution():
    layer = flexkern.FlexConv2d(1, 1, 17, padding="same", device="meta")
    assert at_resolution(layer, 2.0).size == (5, 5)
    with torch.device("meta"):
        assert at_resolution(NJetConv2d(1, 1), 2.0).kernel_size == (9, 9)


def test_constant_kernels_keep_their_sum():
    conv = nn.Conv1d(1, 1, 4)
    nn.init.ones_(conv.weight)
    large = at_resolution(conv, 2.0, plain="enlarge")
    assert large.weight.shape[2] == 8
    assert large.weight.sum().item() == pytest.approx(4.0)


def test_norms_are_estimated_from_unlabelled_batches():
    net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    net[1].momentum = 0.3
    net.eval()
    before, batches = copy.deepcopy(net), [torch.randn(8, 1, 16) * 3 + 2 for _ in range(3)]
    assert refresh_norms(net, batches) is net
    found = [before[0](batch).mean((0, 2)) for batch in batches]
    assert_matches(net[1].running_mean, torch.stack(found).mean(0), 1e-5)
    assert net[1].momentum == 0.3
    assert not net.training
    assert not net[1].training
    assert_matches(net[3].running_mean, torch.zeros(4), 1e-5)  # dropout stays off
    assert torch.equal(net[0].weight, before[0].weight)
    unchanged = refresh_norms(copy.deepcopy(before), [])
    assert torch.equal(unchanged[1].running_mean, before[1].running_mean)


def test_norms_are_kept_where_the_model_refuses_a_batch():
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    net[0].running_mean.fill_(2.0)
    with pytest.raises(RuntimeError):
        refresh_norms(net, [torch.ones(8, 4), torch.ones(8, 5)])
    assert torch.equal(net[0].running_mean, torch.full((4,), 2.0))
    assert net[0].num_batches_tracked == 0
    assert net[0].momentum == 0.1


def test_networks_change_resolution():
    net = flexkern.create_model("flexnet3", in_channels=1, classes=10, kernel_size=15, width=4).eval()
    x = torch.randn(2, 1, 14, 14)
    large = F.interpolate(x, scale_factor=2.0, mode="nearest")
    assert at_resolution(net, 2.0)(large).shape == (2, 10)
    assert at_resolution(net, 2.0).stem[0].size == tuple(2 * n - 1 for n in net.stem[0].size)
