"""Weights files, and measuring a model again from one."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flexkern.app.cli.main import main
from flexkern.app.data import Task, load_task, noise_pad, normalise, permute_pixels, standardise
from flexkern.app.training.evaluation import _check_fit, with_extras
from flexkern.app.training.weights import WeightsInfo, find_weights, load_weights, save_weights

INFO = WeightsInfo(
    model="flexnet",
    options={"kernel_size": 5, "width": 4, "factors": [[1, 1]]},
    in_channels=1,
    class_names=("cat", "dog"),
    shape=(8, 8),
    task="npz",
    mean=(0.1,),
    std=(0.3,),
)


def images(count: int = 12) -> Task:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(count, 1, 8, 8, generator=generator), torch.arange(count) % 2
    return Task("toy", x, y, x[:6], y[:6], ("cat", "dog"))


def test_a_model_survives_the_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = INFO.build().eval()
    save_weights(tmp_path / "w.safetensors", model, INFO)
    loaded, info = load_weights(tmp_path / "w.safetensors")
    assert info == INFO
    assert not loaded.training
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(loaded(x), model(x), rtol=0, atol=0)


def test_a_failed_write_keeps_the_old_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, INFO.build(), INFO)
    before = path.read_bytes()

    def half(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", half)
    with pytest.raises(OSError, match="no space"):
        save_weights(path, INFO.build(), INFO)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["w.safetensors"]


def test_files_that_are_no_weights_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match="no weights file"):
        load_weights(path)
    save_weights(path, INFO.build(), INFO)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"w\.safetensors is not a complete safetensors file"):
        load_weights(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="was not written by flexkern"):
        load_weights(path)
    save_file({"a": torch.zeros(2)}, path, metadata={"flexkern": json.dumps({"format": 99})})
    with pytest.raises(ValueError, match="weights format 99; this version reads 1"):
        load_weights(path)
    save_weights(path, INFO.build(), replace(INFO, options={**INFO.options, "width": 6}))
    with pytest.raises(ValueError, match="do not fit model `flexnet`"):
        load_weights(path)


def test_weights_files_name_the_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(tmp_path / "w.safetensors", INFO.build(), INFO)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"weights files need the `train` extra: pip install 'flexkern\[train\]'"):
        load_weights(tmp_path / "w.safetensors")


def test_finding_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no weights\.safetensors"):
        find_weights(tmp_path)
    with pytest.raises(FileNotFoundError, match="no run folder, weights file or shipped weights `nowhere`"):
        find_weights("nowhere")


def test_standardising_keeps_padding() -> None:
    x = torch.ones(2, 1, 6)
    x[0, :, 4:] = 0
    lengths = torch.tensor([4, 6])
    task = Task("toy", x, torch.tensor([0, 1]), x, torch.tensor([0, 1]), ("a", "b"), lengths, lengths)
    assert standardise(task).x_train[0, 0, 4:].tolist() == [0.0, 0.0]


def test_a_stored_permutation_wins_over_the_task_own() -> None:
    plain = images()
    stored = permute_pixels(plain, seed=7)
    other = permute_pixels(plain, seed=8)
    corrected = with_extras(other, stored.extras)
    torch.testing.assert_close(corrected.x_test, stored.x_test, rtol=0, atol=0)
    assert torch.equal(corrected.extras["permutation"], stored.extras["permutation"])


def test_the_stored_noise_of_a_run_replaces_the_noise_of_the_task() -> None:
    task = noise_pad(images(), length=12, seed=7)
    stored = {"suffix": torch.ones(8, 4), "mean": torch.zeros(8)}
    restored = with_extras(task, stored)
    assert restored.batch_transform.state() == {"suffix": stored["suffix"]}
    assert set(restored.extras) == {"mean"}
    assert torch.equal(restored.batch_transform(task.x_test)[..., 8:], torch.ones(6, 8, 4))
    assert torch.equal(with_extras(task, {}).batch_transform(task.x_test), task.batch_transform(task.x_test))


def test_weights_for_other_data_are_refused() -> None:
    with pytest.raises(ValueError, match="take 3 channels, 2 axes and 2 classes"):
        _check_fit(images(), replace(INFO, in_channels=3))


@pytest.mark.parametrize(("name", "most"), [("mnist-adaptive", 6_531), ("mnist-adaptive-1k", 934)])
def test_shipped_weights_are_small_and_classify_digits(name: str, most: int) -> None:
    """They have 66 times fewer parameters than Caffe's LeNet, and than LeNet-5; `digits` is a part of MNIST."""
    model, info = load_weights(find_weights(name))
    assert sum(parameter.numel() for parameter in model.parameters()) <= most
    task = load_task("digits")
    x = normalise(task.x_test, torch.tensor(info.mean), torch.tensor(info.std), None)
    with torch.no_grad():
        assert (model(x).argmax(1) == task.y_test).float().mean() > 0.98


@pytest.mark.parametrize("name", ["mnist-adaptive", "mnist-adaptive-1k"])
def test_the_command_prints_the_accuracy_of_shipped_weights(name, tmp_path, capsys):
    """The data are `digits`, in a file with the layout of MNIST; the last line of output is JSON."""
    task, arrays = load_task("digits"), {}
    for subset in ("train", "test"):
        x, y = getattr(task, f"x_{subset}"), getattr(task, f"y_{subset}")
        arrays |= {f"x_{subset}": x[:300, 0].numpy(), f"y_{subset}": y[:300].numpy()}
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert main(["eval", name, "--data-dir", str(tmp_path)]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["accuracy"] > 0.98
    assert last["n"] == 300
