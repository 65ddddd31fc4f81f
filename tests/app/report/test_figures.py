from pathlib import Path

import pytest
from torch import nn

from flexkern.app.report import save_figure, windows_figure
from flexkern.app.report.figures import named_windows
from flexkern.layers import FlexConv1d, FlexConv2d, FlexConv3d
from flexkern.models import create_model
from flexkern.windows.window import GaussianWindow


def texts(figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    for axis in figure.axes:
        found += [axis.get_title(), axis.get_xlabel(), axis.get_ylabel(), *(text.get_text() for text in axis.texts)]
    return found


def test_images_have_a_panel_per_layer_with_its_name_and_size() -> None:
    model = create_model("flexnet", in_channels=1, classes=3, kernel_size=(9, 13), width=4, factors=((1, 1),))
    shown = texts(windows_figure(model))
    for name, window in named_windows(model).items():
        assert name in shown
        assert isinstance(window, GaussianWindow)
    layer = model.stem[0]
    assert " \u00d7 ".join(map(str, layer.size)) in shown
    assert any("9 \u00d7 13" in text for text in shown)


@pytest.mark.parametrize("causal", [False, True])
def test_series_have_a_curve_per_layer(causal: bool) -> None:
    model = nn.Sequential(*(FlexConv1d(1, 1, 41, causal=causal, init_size=n) for n in (5, 9, 21)))
    figure = windows_figure(model)
    assert len(figure.axes) == 3
    assert {"5", "9", "21"} <= set(texts(figure))
    assert ("samples back from now" in texts(figure)) == causal


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_any_depth_can_be_saved(tmp_path: Path, count: int) -> None:
    path = tmp_path / "windows.png"
    save_figure(windows_figure(nn.Sequential(*(FlexConv2d(1, 1, 9) for _ in range(count)))), path, dpi=40)
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert [item.name for item in tmp_path.iterdir()] == ["windows.png"]


def test_per_channel_windows_and_three_axes() -> None:
    window = GaussianWindow(per_channel=True)
    assert windows_figure(nn.Sequential(FlexConv2d(1, 4, 9, window=window))).axes
    assert windows_figure(nn.Sequential(FlexConv3d(1, 2, (5, 7, 9)))).axes


def test_a_model_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer that learns its size"):
        windows_figure(nn.Conv2d(1, 1, 3))


def test_pyplot_is_left_alone() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), plt.rcParams["font.size"]
    windows_figure(FlexConv2d(1, 1, 9))
    assert (plt.get_fignums(), plt.rcParams["font.size"]) == before
