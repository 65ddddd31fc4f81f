"""FlexConv and CKConv against numbers made with the authors' code."""

import pytest
import torch

from flexkern import SIREN, CKConv1d, CKConv2d, FlexConv1d, FlexConv2d, GaussianWindow, MAGNet
from golden import fill_generator, generator_arrays, load_golden, with_prefix
from tolerances import assert_all_match, assert_matches

DOUBLE = {"dtype": torch.float64}
PAPER = {"window": GaussianWindow(continuous=False), **DOUBLE}


@torch.no_grad()
def fill(layer, golden):
    """The authors' parameters; a negative sigma acts as its absolute value there."""
    fill_generator(layer.generator, golden)
    layer.bias.copy_(golden["bias"])
    if layer.window is not None:
        layer.window.centre.copy_(golden["mask_mean"])
        layer.window.set_width(golden["mask_sigma"].abs())


def check(layer, golden, x, cotangent):
    fill(layer, golden)
    assert layer.size == tuple(golden["weight"].shape[2:])
    assert_matches(layer.weight, golden["weight"])
    x = x.clone().requires_grad_()
    y = layer(x)
    assert_matches(y, golden["y"])
    y.backward(cotangent)
    assert_matches(x.grad, golden["grad_x"])
    assert_matches(layer.bias.grad, golden["grad_bias"])
    gradients = {name: parameter.grad for name, parameter in layer.generator.named_parameters()}
    assert_all_match(gradients, generator_arrays(layer.generator, golden, "grad_"))
    if layer.window is not None:
        sigma = golden["mask_sigma"]
        # sigma = +-(floor + exp(log_width)), so d/d log_width = +-exp(log_width) d/d sigma.
        chain = sigma.sign() * (sigma.abs() - torch.tensor(layer.window.min_width, dtype=torch.float64))
        assert_matches(layer.window.log_width.grad, golden["grad_mask_sigma"] * chain)
        assert_matches(layer.window.centre.grad, golden["grad_mask_mean"])


ENGINES = pytest.mark.parametrize("engine", ["direct", "fft"])


@ENGINES
def test_flexconv2d(engine):
    golden = load_golden("flexconv2d.npz")
    layer = FlexConv2d(3, 4, 17, padding="same", generator=MAGNet(hidden=8), engine=engine, **PAPER)
    check(layer, golden, golden["x"], golden["cotangent"])
    values = layer.generator(golden["positions"])
    assert_matches(values, golden["generator_values"])
    assert_matches(layer.window(golden["positions"]), golden["mask_values"])


def test_flexconv2d_gradient_of_the_weight():
    golden = load_golden("flexconv2d.npz")
    weight = golden["weight"].clone().requires_grad_()
    torch.nn.functional.conv2d(golden["x"], weight, padding=(3, 6)).backward(golden["cotangent"])
    assert_matches(weight.grad, golden["grad_weight"])


@ENGINES
@pytest.mark.parametrize("prefix", ["short_", "even_", "long_"])
def test_flexconv1d_causal(prefix, engine):
    golden = load_golden("flexconv1d_causal.npz")
    layer = FlexConv1d(3, 4, 64, causal=True, generator=MAGNet(hidden=8), engine=engine, **PAPER)
    check(layer, with_prefix(golden, prefix), golden["x"], golden["cotangent"])
    assert_matches(layer(golden["x"]), golden[f"{prefix}y_fft"], 1e-6)  # their FFT result is float32
    assert_matches(layer.window(golden[f"{prefix}positions"]), golden[f"{prefix}mask_values"])


@ENGINES
def test_ckconv2d(engine):
    golden = load_golden("ckconv2d.npz")
    layer = CKConv2d(3, 4, 17, padding="same", generator=MAGNet(hidden=8), engine=engine, **DOUBLE)
    check(layer, golden, golden["x"], golden["cotangent"])
    assert_matches(layer(golden["x"]), golden["y_fft"], 1e-5)


@ENGINES
def test_ckconv1d_causal(engine):
    golden = load_golden("ckconv1d_causal.npz")
    generator = SIREN(hidden=8, omega=golden["omega_0"].item())
    layer = CKConv1d(3, 4, 64, causal=True, generator=generator, engine=engine, **DOUBLE)
    check(layer, golden, golden["x"], golden["cotangent"])
    assert_matches(layer(golden["x"]), golden["y_fft"], 1e-5)


@pytest.mark.parametrize("prefix", ["smooth_", "paper_"])
def test_the_same_kernel_at_twice_the_resolution(prefix):
    golden = with_prefix(load_golden("cross_resolution.npz"), prefix)
    everything = load_golden("cross_resolution.npz")
    scale = everything["sampling_rate_norm"].item()
    outputs = {}
    for horizon, image, norm in ((17, "image16", 1.0), (33, "image32_bilinear", scale)):
        layer = FlexConv2d(3, 4, horizon, padding="same", generator=MAGNet(hidden=8), **PAPER)
        fill(layer, golden)
        assert_matches(layer.weight * norm, golden[f"weight{horizon}"])
        conv = layer.weight * norm
        pads = tuple((k - 1) // 2 for k in conv.shape[2:])
        outputs[horizon] = torch.nn.functional.conv2d(everything[image], conv, layer.bias, padding=pads)
    assert_matches(outputs[17], golden["y16"])
    assert_matches(outputs[33], golden["y32_bilinear"])
