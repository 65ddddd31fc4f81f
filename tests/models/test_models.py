"""The networks: parameter counts of the published ones, names and options."""

import json

import pytest
import torch
from torch import nn

from flexkern import (
    AdaptiveConv2d,
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


def parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def build(row):
    """The model of a row of parameter_counts.json."""
    common = {"in_channels": row["in_channels"], "classes": row["classes"]}
    if "kernel" in row:
        names = {"MAGNet": "magnet", "SIREN": "siren", "GaborNet": "gabornet", "FourierNet": "fouriernet"}
        common["generator"] = {
            "name": names[row["kernel"]],
            "hidden": row["kernel_hidden"],
            "layers": row["kernel_layers"],
        }
    factors = row["block_width_factors"]
    pairs = tuple(zip(factors[::2], factors[1::2], strict=False))
    family = row["family"]
    if family.startswith("FlexNet"):
        name = "ckcnn" if "CKConv" in family else "convnet" if "discrete" in family else "flexnet"
        kernel = {"kernel_size": int(family.split("k=")[1])} if name == "convnet" else {}
        return create_model(name, width=row["width"], factors=pairs, **common, **kernel)
    if pairs:  # the tiny net has blocks of two widths
        from functools import partial

        from flexkern import FlexConv1d

        widths = [int(row["width"] * factor) for factor, count in pairs for _ in range(count)]
        conv = partial(FlexConv1d, kernel_size=32, causal=True, generator=MAGNet(hidden=row["kernel_hidden"]))
        return FlexTCN(row["in_channels"], row["classes"], conv, widths=widths)
    return create_model(
        {"FlexTCN": "flextcn", "CKTCN": "cktcn"}[family], width=row["width"], blocks=row["blocks"], **common
    )


def test_parameter_counts_of_the_published_networks():
    rows = json.loads(shared_path("golden", "parameter_counts.json").read_text())
    assert len(rows) > 30
    counted = {row["name"]: parameters(build(row)) for row in rows}
    assert counted == {row["name"]: row["parameters"] for row in rows}


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
    assert parameters(create_model(name, **options)) == count


def test_number_of_parameters_does_not_depend_on_the_kernel_size():
    counts = {parameters(create_model("flexnet", **{**TINY["flexnet"], "kernel_size": k})) for k in (3, 16, 33)}
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
    assert parameters(model) == count
    images = torch.randn(3, 1, 28, 28)
    logits = model(images)
    assert logits.shape == (3, 10)
    nn.functional.cross_entropy(logits, torch.tensor([0, 9, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        found = parameter.grad is not None and bool(parameter.grad.isfinite().all() and parameter.grad.any())
        assert found == parameter.requires_grad, parameter_name


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
    assert parameters(create_model(name, **options)) == count


@pytest.mark.parametrize("adaptive", ["nowhere", "stem", "everywhere"])
def test_residual_networks_are_adaptive_where_they_should_be(adaptive):
    model = create_model("thin_resnet", depth=8, width=4, adaptive=adaptive)
    found = [m for m in model.modules() if isinstance(m, AdaptiveConv2d)]
    assert len(found) == {"nowhere": 0, "stem": 1, "everywhere": 7}[adaptive]
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 10)


def test_residual_networks_refuse_what_they_are_not():
    with pytest.raises(ValueError, match="`depth` must be 8, 14, 20"):
        create_model("thin_resnet", depth=9)
    with pytest.raises(ValueError, match="`adaptive` must be one of nowhere, stem, everywhere, got 'head'"):
        create_model("resnet18", adaptive="head")


def test_stages_of_compact_networks():
    with pytest.raises(ValueError, match="`stages` must list channels for 2 stages"):
        create_model("plain_lenet", stages=((4, 4),))


@pytest.mark.parametrize("name", [name for name in list_models() if "lenet" not in name and "resnet" not in name])
def test_every_flexible_model_trains_a_step(name):
    sequence = "tcn" in name
    options = dict(TINY["flextcn" if sequence else "flexnet"])
    if name.startswith(("conv", "ck")):
        options["kernel_size"] = 3
    if not name.startswith("conv"):
        options |= SMALL
    model = create_model(name, **options)
    assert isinstance(model, FlexTCN if sequence else FlexNet)
    x = torch.randn(4, 1, *((20,) if sequence else (8, 8)))
    logits = model(x)
    assert logits.shape == (4, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    flexible = [m for m in model.modules() if isinstance(m, GaussianWindow)]
    assert len(sizes(model)) == len(flexible)
    assert bool(flexible) == ("flex" in name)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_models_are_causal(name):
    options = {**TINY["flextcn"], **({} if name == "convtcn" else SMALL)}
    model = create_model(name, **options).eval()
    x = torch.randn(1, 1, 24)
    changed = x.clone()
    changed[..., 12:] += 1
    before, after = (model.blocks(v) for v in (x, changed))
    torch.testing.assert_close(before[..., :12], after[..., :12], atol=1e-5, rtol=1e-4)
    assert (before[..., 12:] - after[..., 12:]).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (28, 28)])
def test_images_of_any_size(size):
    model = create_model("flexnet", **TINY["flexnet"], **SMALL).eval()
    assert model(torch.randn(2, 1, *size)).shape == (2, 3)


def test_batch_of_one_in_evaluation():
    # The authors' squeeze() drops the batch axis.
    for name, shape in (("flexnet", (1, 1, 8, 8)), ("flextcn", (1, 1, 20))):
        assert create_model(name, **TINY[name], **SMALL).eval()(torch.randn(shape)).shape == (1, 3)


def test_plain_values_are_the_factories():
    plain = create_model("flexnet", **TINY["flexnet"], **SMALL, window={"per_channel": True, "threshold": 0.2})
    made = create_model(
        "flexnet",
        **TINY["flexnet"],
        generator=MAGNet(hidden=4, layers=1),
        window=GaussianWindow(per_channel=True, threshold=0.2),
    )
    assert {k: v.shape for k, v in plain.state_dict().items()} == {k: v.shape for k, v in made.state_dict().items()}
    assert plain.stem[0].window.threshold == 0.2


def test_options_reach_the_layers():
    model = create_model("flexnet", **TINY["flexnet"], generator="siren", init_size=5, engine="fft")
    assert set(sizes(model).values()) == {(5, 5)}
    assert model.stem[0].engine == "fft"


def test_listing():
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


def test_meta_device_and_reset_in_any_order():
    """A model made on the meta device and reset starts as one made on the CPU."""

    def magnitudes(model):
        return {name: p.detach().abs().mean().item() for name, p in model.named_parameters()}

    made = [magnitudes(create_model("flexnet", **TINY["flexnet"], **SMALL)) for _ in range(8)]
    with torch.device("meta"):
        model = create_model("flexnet", **TINY["flexnet"], **SMALL)
    assert all(p.is_meta for p in model.parameters())
    model.to_empty(device="cpu")
    found = []
    for _ in range(8):
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        found.append(magnitudes(model))
    for name in made[0]:
        one, other = (sum(m[name] for m in each) / 8 for each in (made, found))
        assert other == pytest.approx(one, rel=0.6, abs=1e-6), name


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
    parameters = [one for one in model.parameters() if one.requires_grad]
    found, expected = (torch.autograd.grad(call(x).square().sum(), parameters) for call in (compiled, model))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
