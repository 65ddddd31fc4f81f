"""Exported models compute what the model computes."""

import pytest
import torch
from torch import nn

from flexkern import AdaptiveConv2d
from flexkern.app.measure.exported import exported_call, require_export
from tolerances import assert_matches


def test_the_call_gives_the_models_output(capfd):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), AdaptiveConv2d(4, 4, 1, sharing="depthwise"))
    sample = torch.randn(3, 2, 6, 6)
    (found,) = exported_call(net, sample)()
    assert_matches(torch.from_numpy(found), net.eval()(sample))
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'onnx is missing: pip install "flexkern\[export\]"'):
        require_export()
