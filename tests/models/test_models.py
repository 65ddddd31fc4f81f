"""Networks: parameter counts of the published ones, names and options."""

import functools
import json
import statistics

import pytest
import torch
from torch import nn

from flexkern import (
    AdaptiveConv2d,
    FlexConv1d,
    FlexNet,
    FlexTCN,
    GaussianWindow,
    MAGNet,
    create_model,
    freeze_sizes,
    list_models,
    sizes,
)
from shared import shared_path

SMALL = {"generator": {"name": "magnet", "hidden": 4, "layers": 1}}
TINY = {
    "flexnet": {"in_channels": 1, "classes": 3, "kernel_size": 9, "width": 4, "factors": ((1, 1), (1.5, 1))},
    "flextcn": {"in_channels": 1, "classes": 3, "kernel_size": 16, "width": 4, "blocks": 2},
}
SEQUENCES = ("flextcn", "cktcn", "convtcn", "separable_flextcn")


def count_parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def build(row):
    """Return the model of a row of parameter_counts.json."""
    options = {"in_channels": row["in_channels"], "classes": row["classes"]}
    if "kernel" in row:
        options["generator"] = {
            "name": row["kernel"].lower(),
            "hidden": row["kernel_hidden"],
            "layers": row["kernel_layers"],
        }
    factors = row["block_width_factors"]
    pairs = tuple(zip(factors[::2], factors[1::2], strict=False))
    if row["family"].startswith("FlexNet"):
        return build_flexnet(row["family"], width=row["width"], factors=pairs, **options)
    if pairs:  # the tiny network has blocks of two widths
        return build_tiny(row, pairs)
    name = row["family"].lower()  # FlexTCN or CKTCN
    return create_model(name, width=row["width"], blocks=row["blocks"], **options)


def build_flexnet(family, **options):
    if "CKConv" in family:
        return create_model("ckcnn", **options)
    if "discrete" in family:
        return create_model("convnet", kernel_size=int(family.split("k=")[1]), **options)
    return create_model("flexnet", **options)


def build_tiny(row, pairs):
    generator = MAGNet(hidden=row["kernel_hidden"])
    conv = functools.partial(FlexConv1d, kernel_size=32, causal=True, generator=generator)
    widths = [int(row["width"] * factor) for factor, count in pairs for _ in range(count)]
    return FlexTCN(row["in_channels"], row["classes"], conv, widths=widths)


def test_parameter_counts_of_the_published_networks():
    rows = json.loads(shared_path("golden", "parameter_counts.json").read_text())
    assert len(rows) > 30
    counts = {row["name"]: count_parameters(build(row)) for row in rows}
    assert counts == {row["name"]: row["parameters"] for row in rows}


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("flexnet7", {}, 671_650),
        ("flexnet7", {"classes": 100}, 676_060),
        ("flexnet7", {"in_channels": 1}, 670_066),
        ("flexnet5", {}, 454_046),
        ("flexnet5", {"classes": 1000}, 498_596),
        ("flexnet3", {}, 277_090),
        ("flextcn2", {}, 105_548),
        ("flextcn4", {"in_channels": 3}, 241_476),
        ("flextcn6", {}, 373_324),
        ("cktcn", {}, 95_300),
        ("ckcnn", {}, 627_910),
    ],
)
def test_presets_have_the_published_number_of_parameters(name, options, count):
    assert count_parameters(create_model(name, **options)) == count


def test_number_of_parameters_does_not_depend_on_the_kernel_size():
    counts = set()
    for kernel_size in (3, 16, 33):
        options = {**TINY["flexnet"], "kernel_size": kernel_size}
        counts.add(count_parameters(create_model("flexnet", **options)))
    assert len(counts) == 1


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("lenet5", {}, 61_706),
        ("lenet_caffe", {}, 431_080),
        ("adaptive_lenet", {}, 6_296),
        ("plain_lenet", {}, 6_420),
        ("adaptive_lenet_1k", {}, 927),
        ("plain_lenet_1k", {}, 921),
        ("adaptive_lenet", {"frozen": True}, 5_846),
    ],
)
def test_small_networks_have_the_stated_number_of_parameters(name, options, count):
    model = create_model(name, **options)
    assert count_parameters(model) == count
    images = torch.randn(3, 1, 28, 28)
    logits = model(images)
    assert logits.shape == (3, 10)
    nn.functional.cross_entropy(logits, torch.tensor([0, 9, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        gradient = parameter.grad
        has_gradient = gradient is not None and bool(gradient.isfinite().all() and gradient.any())
        assert has_gradient == parameter.requires_grad, parameter_name


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("resnet18", {}, 11_173_962),
        ("adaptive_resnet18", {}, 11_149_962),
        ("resnet18", {"adaptive": "everywhere"}, 109_770_378),
        ("thin_resnet", {"depth": 8}, 19_954),
        ("thin_resnet", {"depth": 20, "width": 16}, 272_474),
    ],
)
def test_residual_networks_have_the_stated_number_of_parameters(name, options, count):
    assert count_parameters(create_model(name, **options)) == count


@pytest.mark.parametrize("adaptive", ["nowhere", "stem", "everywhere"])
def test_residual_networks_are_adaptive_where_they_should_be(adaptive):
    model = create_model("thin_resnet", depth=8, width=4, adaptive=adaptive)
    layers = [module for module in model.modules() if isinstance(module, AdaptiveConv2d)]
    assert len(layers) == {"nowhere": 0, "stem": 1, "everywhere": 7}[adaptive]
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 10)


def test_residual_networks_reject_other_options():
    with pytest.raises(ValueError, match="`depth` must be 8, 14, 20"):
        create_model("thin_resnet", depth=9)
    with pytest.raises(ValueError, match="`adaptive` must be one of nowhere, stem, everywhere, got 'head'"):
        create_model("resnet18", adaptive="head")


def test_compact_networks_need_channels_for_every_stage():
    with pytest.raises(ValueError, match="`stages` must list channels for 2 stages"):
        create_model("plain_lenet", stages=((4, 4),))


@pytest.mark.parametrize("name", [name for name in list_models() if "lenet" not in name and "resnet" not in name])
def test_gradients_of_every_flexnet_and_flextcn(name):
    family, cls, signal = ("flextcn", FlexTCN, (20,)) if "tcn" in name else ("flexnet", FlexNet, (8, 8))
    options = dict(TINY[family])
    if name.startswith(("conv", "ck")):
        options["kernel_size"] = 3
    if not name.startswith("conv"):
        options |= SMALL
    model = create_model(name, **options)
    assert isinstance(model, cls)
    logits = model(torch.randn(4, 1, *signal))
    assert logits.shape == (4, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    windows = [module for module in model.modules() if isinstance(module, GaussianWindow)]
    assert len(sizes(model)) == len(windows)
    assert bool(windows) == ("flex" in name)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_models_are_causal(name):
    options = {**TINY["flextcn"], **({} if name == "convtcn" else SMALL)}
    model = create_model(name, **options).eval()
    x = torch.randn(1, 1, 24)
    changed = x.clone()
    changed[..., 12:] += 1
    features, changed_features = model.blocks(x), model.blocks(changed)
    torch.testing.assert_close(changed_features[..., :12], features[..., :12], atol=1e-5, rtol=1e-4)
    assert (changed_features - features)[..., 12:].abs().max() > 1e-3


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (28, 28)])
def test_images_of_any_size(size):
    model = create_model("flexnet", **TINY["flexnet"], **SMALL).eval()
    assert model(torch.randn(2, 1, *size)).shape == (2, 3)


@pytest.mark.parametrize(("name", "shape"), [("flexnet", (1, 1, 8, 8)), ("flextcn", (1, 1, 20))])
def test_batch_of_one_in_evaluation(name, shape):
    # The authors' squeeze() drops the batch axis.
    model = create_model(name, **TINY[name], **SMALL).eval()
    assert model(torch.randn(shape)).shape == (1, 3)


def test_plain_values_equal_factories():
    plain = create_model("flexnet", **TINY["flexnet"], **SMALL, window={"per_channel": True, "threshold": 0.2})
    from_factories = create_model(
        "flexnet",
        **TINY["flexnet"],
        generator=MAGNet(hidden=4, layers=1),
        window=GaussianWindow(per_channel=True, threshold=0.2),
    )
    expected = {name: value.shape for name, value in from_factories.state_dict().items()}
    assert {name: value.shape for name, value in plain.state_dict().items()} == expected
    assert plain.stem[0].window.threshold == 0.2


def test_options_reach_the_layers():
    model = create_model("flexnet", **TINY["flexnet"], generator="siren", init_size=5, engine="fft")
    assert set(sizes(model).values()) == {(5, 5)}
    assert model.stem[0].engine == "fft"


def test_names_of_models():
    assert list_models() == sorted(list_models())
    assert list_models("flextcn?") == ["flextcn2", "flextcn4", "flextcn6"]
    assert list_models("nothing*") == []
    assert {"flexnet", "flexnet7", "flextcn", "ckcnn", "cktcn", "convnet", "convtcn"} <= set(list_models())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_model("flexnet8"), r"unknown model 'flexnet8'; did you mean 'flexnet\d?'\?"),
        (lambda: create_model("zzz"), r"Known: .*flexnet7"),
        (lambda: create_model("flexnet", widht=3), r"unknown option `widht` of model flexnet; did you mean 'width'\?"),
        (lambda: create_model("convnet", generator="siren"), r"unknown option `generator` of model convnet"),
        (lambda: create_model("flexnet", generator={"name": "magnett"}), r"unknown `generator` 'magnett'"),
        (lambda: create_model("flexnet", kernel_size=0), r"`kernel_size` must be positive, got 0"),
    ],
)
def test_errors_name_the_nearest(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_misspelt_option_of_a_generator():
    with pytest.raises((TypeError, ValueError), match="hiden"):
        create_model("flexnet", generator={"name": "magnet", "hiden": 4})


def mean_magnitudes(models):
    """Return the mean magnitude of every parameter over several models, by its name."""
    magnitudes = {}
    for model in models:
        for name, parameter in model.named_parameters():
            magnitudes.setdefault(name, []).append(parameter.detach().abs().mean().item())
    return {name: statistics.fmean(values) for name, values in magnitudes.items()}


def test_meta_device_and_reset_in_any_order():
    """A model built on the meta device and then reset starts like a model built on the CPU."""
    built = mean_magnitudes(create_model("flexnet", **TINY["flexnet"], **SMALL) for _ in range(8))
    with torch.device("meta"):
        model = create_model("flexnet", **TINY["flexnet"], **SMALL)
    assert all(p.is_meta for p in model.parameters())
    model.to_empty(device="cpu")

    def resets():
        for _ in range(8):
            for module in model.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            yield model

    reset = mean_magnitudes(resets())
    for name, magnitude in built.items():
        assert reset[name] == pytest.approx(magnitude, rel=0.6, abs=1e-6), name


def test_frozen_network_compiles_and_exports():
    model = freeze_sizes(create_model("flexnet", **TINY["flexnet"], **SMALL)).eval()
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(x), model(x))
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


@pytest.mark.slow
def test_export_with_any_batch():
    model = freeze_sizes(create_model("flexnet", **TINY["flexnet"], **SMALL)).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (torch.randn(2, 1, 8, 8),), dynamic_shapes={"x": {0: batch}})
    x = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(exported.module()(x), model(x))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "shape"), [("adaptive_lenet_1k", (1, 28, 28)), ("flexnet", (1, 12, 12))])
def test_whole_networks_compile_in_one_graph(name, shape, backend):
    torch.compiler.reset()
    options = {**TINY["flexnet"], **SMALL} if name == "flexnet" else {}
    model = freeze_sizes(create_model(name, **options)).eval()
    x = torch.randn(2, *shape)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(compiled(x).square().sum(), parameters)
    expected = torch.autograd.grad(model(x).square().sum(), parameters)
    for gradient, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-3, atol=1e-5)
