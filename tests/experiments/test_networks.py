"""Networks of the trials on digits: equal but for one part, of equal parameters, and able to classify."""

import pytest
import torch

from experiments.ablation import run as ablation
from experiments.adaptive_settings import run as adaptive_settings
from experiments.fixed_sizes import run as fixed_sizes
from experiments.fixed_sizes_1d import run as fixed_sizes_1d
from experiments.mixed_scales import run as mixed_scales
from flexkern import freeze_sizes, sizes

NETS = {**ablation.NETS, **fixed_sizes.NETS, **adaptive_settings.NETS, **mixed_scales.NETS}


def count(net):
    return sum(p.numel() for p in net.parameters())


def counts(nets):
    return {name: count(make()) for name, make in nets.items()}


@pytest.mark.parametrize("name", NETS)
def test_every_network_classifies(name):
    net = NETS[name]().eval()
    assert net(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_parts_of_the_ablation_have_about_equal_parameters():
    parameters = counts(ablation.NETS).values()
    assert max(parameters) < 1.05 * min(parameters)


def test_what_the_ablation_exchanges():
    fixed = ablation.NETS["window as it starts"]()
    assert not any("window" in name for name, p in fixed.named_parameters() if p.requires_grad)
    assert sizes(fixed) == sizes(freeze_sizes(ablation.NETS[ablation.BASE]()))
    assert not sizes(ablation.NETS["no window"]())
    assert not ablation.NETS["hard crop"]().stem[0].window.continuous


def test_fixed_sizes_have_equal_parameters_but_for_the_windows():
    learned = fixed_sizes.NETS["learned"]()
    windows = sum(p.numel() for name, p in learned.named_parameters() if "window" in name)
    fixed = {parameters for name, parameters in counts(fixed_sizes.NETS).items() if name != "learned"}
    assert fixed == {count(learned) - windows}
    built = [fixed_sizes.NETS[name]().stem[0].size for name in ("3x3", "17x17", "29x29")]
    assert built == [(3, 3), (17, 17), (29, 29)]


def test_fixed_sizes_of_series():
    learned, *fixed = counts(fixed_sizes_1d.NETS).values()
    assert len(set(fixed)) == 1
    assert learned - fixed[0] == 4 * 2  # the windows of four layers
    assert fixed_sizes_1d.NETS["41 taps"]()(torch.randn(2, 1, 40)).shape == (2, 10)


def test_adaptive_settings_have_equal_parameters():
    parameters = counts(adaptive_settings.NETS)
    assert min(parameters.values()) >= 6_620
    assert max(parameters.values()) <= 6_770
    assert max(parameters.values()) <= 1.02 * parameters[adaptive_settings.PLAIN]


def test_mixed_scales_have_about_equal_parameters():
    parameters = counts(mixed_scales.NETS)
    assert max(parameters.values()) <= 1.02 * parameters["AdaptiveFlexConv"]
    assert min(parameters.values()) >= 0.85 * parameters["AdaptiveFlexConv"]


def test_digits_keep_their_content_at_every_scale_and_place():
    images = torch.ones(400, 1, 28, 28)
    placed = mixed_scales.shrink_and_place(images, 0)
    sides = [(image[0].sum(0) > 0.5).sum().item() for image in placed]
    assert min(sides) == 10
    assert max(sides) == 28
    tops = set()
    for image, side in zip(placed, sides, strict=True):
        occupied = image[0].sum(1) > 0.5
        assert image.sum() == side**2
        assert occupied.sum() == side
        if side < 14:
            tops.add(occupied.int().argmax().item())
    assert len(tops) > 8
    assert torch.equal(placed, mixed_scales.shrink_and_place(images, 0))
