"""What is seen of adaptive kernels: figures of two images, and what is left without adaptivity."""

import json

import pytest
import torch

from flexkern import AdaptiveConv2d, create_model
from flexkern.app.cli.main import main
from flexkern.app.report.kernels import far_maxima, kernels_figure
from flexkern.app.training.weights import WeightsInfo, save_weights

DIGITS = tuple(str(digit) for digit in range(10))


def saved(path, model):
    torch.manual_seed(0)
    info = WeightsInfo(
        model=model,
        options={},
        in_channels=1,
        class_names=DIGITS,
        shape=(28, 28),
        task="digits",
        mean=(0.1,),
        std=(0.3,),
    )
    save_weights(path, create_model(model), info)
    return str(path)


def test_a_row_per_image_and_kernels_at_far_pixels():
    figure = kernels_figure(AdaptiveConv2d(1, 2, 3, padding="same"), torch.randn(2, 1, 12, 12))
    assert len(figure.axes) == 2 * 6
    assert "% of the kernels' energy varies with the input" in figure.get_suptitle()
    values = torch.rand(20, 20)
    places = far_maxima(values, 3)
    assert divmod(int(values.argmax()), 20) == places[0]
    for i, (y, x) in enumerate(places):
        assert all(max(abs(y - v), abs(x - u)) >= 5 for v, u in places[:i])
    with pytest.raises(ValueError, match="`images` must be"):
        kernels_figure(AdaptiveConv2d(1, 2, 3), torch.randn(1, 12, 12))


def test_the_command_measures_and_draws(tmp_path, capsys):
    path, figure = saved(tmp_path / "w.safetensors", "adaptive_lenet_1k"), tmp_path / "kernels.png"
    assert main(["inspect", path, "--figure", str(figure), "--out", str(tmp_path / "found.json")]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["share"] == found["share"]
    assert written["machine"]
    assert str(tmp_path) not in written["weights"]
    assert 0 < found["share"]["stem.0"] < 1
    assert 0 <= found["accuracy_of_mean"] <= 1
    assert figure.stat().st_size > 1000


def test_a_model_without_adaptive_kernels_is_refused(tmp_path, capsys):
    assert main(["inspect", saved(tmp_path / "w.safetensors", "plain_lenet_1k")]) == 2
    assert "`model` has no adaptive convolution" in capsys.readouterr().err
