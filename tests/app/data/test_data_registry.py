import struct

import numpy as np
import pytest
import torch

from flexkern.app.data import list_tasks, load_task
from shared import shared_path

RNG = np.random.default_rng(0)


def write_npz(path, shape, labels=(0, 9)):
    y = np.array(labels)
    x = RNG.integers(0, 256, (len(y), *shape), dtype=np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return x


def write_idx(folder):
    x, y = RNG.integers(0, 256, (2, 28, 28), dtype=np.uint8), np.array([3, 9], np.uint8)
    for stem in ("train", "t10k"):
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, *x.shape) + x.tobytes())
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 2) + y.tobytes())
    return x


def test_list_says_what_each_needs():
    tasks = list_tasks()
    assert {"digits", "mnist", "cifar10", "mnist1d", "smnist", "pmnist", "scifar10", "npcifar10"} <= set(tasks)
    assert {"npz", "images", "idx", "ts", "array", "wav"} <= set(tasks)
    assert tasks["digits"].endswith("built in, no file needed")
    assert "needs mnist.npz or" in tasks["pmnist"]


@pytest.mark.parametrize(("wrong", "nearest"), [("mnst", "mnist"), ("cifar-10", "cifar10"), ("Digits", "digits")])
def test_an_unknown_name_gets_the_nearest(wrong, nearest):
    with pytest.raises(ValueError, match=rf"unknown data set '{wrong}'; did you mean '{nearest}'\? Known: digits, "):
        load_task(wrong)


def test_a_name_far_from_all_still_gets_a_list():
    with pytest.raises(ValueError, match=r"unknown data set ''\. Known: digits, "):
        load_task("")


@pytest.mark.parametrize("name", [name for name in list_tasks() if name not in ("digits", "mnist1d")])
def test_a_missing_data_dir_says_what_is_needed(name, tmp_path):
    with pytest.raises(ValueError, match=f"'{name}' needs .+: a local copy is given by --data-dir") as caught:
        load_task(name)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=f"gone: no such file or folder, '{name}' needs .+ --data-dir"):
        load_task(name, tmp_path / "gone")
    with pytest.raises((FileNotFoundError, ValueError), match=str(tmp_path)) as caught:
        load_task(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_built_in_sets_take_no_folder(tmp_path):
    with pytest.raises(ValueError, match="'digits' is built in and takes no `data_dir`"):
        load_task("digits", tmp_path)


def test_mnist_is_found_in_a_folder_or_as_a_file(tmp_path):
    x = write_npz(tmp_path / "mnist.npz", (28, 28))
    for place in (tmp_path, str(tmp_path), tmp_path / "mnist.npz"):
        task = load_task("mnist", place)
        torch.testing.assert_close(task.x_train[:, 0] * 255, torch.from_numpy(x).float())
    assert (task.name, task.classes) == ("mnist", 10)


def test_mnist_is_found_as_idx(tmp_path):
    x = write_idx(tmp_path)
    for place in (tmp_path, tmp_path / "train-images-idx3-ubyte"):
        task = load_task("mnist", place)
        torch.testing.assert_close(task.x_train[:, 0] * 255, torch.from_numpy(x).float())
    assert load_task("idx", tmp_path).name == "idx"


def test_sequence_views_of_mnist(tmp_path):
    write_npz(tmp_path / "mnist.npz", (28, 28))
    flat, permuted = load_task("smnist", tmp_path), load_task("pmnist", tmp_path)
    assert (flat.name, permuted.name, flat.shape) == ("smnist", "pmnist", (784,))
    assert torch.equal(flat.x_train[..., permuted.extras["permutation"]], permuted.x_train)


def test_views_of_cifar(tmp_path):
    write_npz(tmp_path / "cifar10.npz", (32, 32, 3))
    names = ("cifar10", "scifar10", "npcifar10")
    tasks = [load_task(name, tmp_path) for name in names]
    assert tuple(task.name for task in tasks) == names
    shapes = [(task.channels, *task.shape) for task in tasks]
    assert shapes == [(3, 32, 32), (3, 1024), (96, 1000)]
    assert tasks[0].class_names[0] == "airplane"


def test_cifar_batches_are_found_in_their_usual_folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (folder / f"{name}.bin").write_bytes(b"\x04" + bytes(3072))
    assert load_task("cifar10", tmp_path).y_train.tolist() == [4] * 5


def test_another_data_set_than_the_name_is_refused(tmp_path):
    write_npz(tmp_path / "mnist.npz", (28, 27))
    message = r"'mnist' must have samples of \(1, 28, 28\) in 10 classes, got \(1, 28, 27\) in 10"
    with pytest.raises(ValueError, match=message):
        load_task("mnist", tmp_path)
    write_npz(tmp_path / "mnist.npz", (28, 28), labels=(0, 10))
    with pytest.raises(ValueError, match=r"mnist\.npz: `y_train` must lie in 0\.\.9, got 10 at sample 1"):
        load_task("mnist", tmp_path)


def test_a_generic_reader_wants_one_file(tmp_path):
    write_npz(tmp_path / "one.npz", (8, 8))
    assert load_task("npz", tmp_path).name == "one"
    write_npz(tmp_path / "two.npz", (8, 8))
    with pytest.raises(FileNotFoundError, match=r"must have one \*\.npz, found 2; name the file itself"):
        load_task("npz", tmp_path)


def test_real_sets_by_name():
    assert load_task("smnist", shared_path("data")).x_test.shape == (10000, 1, 784)
    assert load_task("array", shared_path("data", "uea", "GunPoint.npz")).name == "GunPoint"
