import pickle
import re
import struct

import numpy as np
import pytest
import torch

from flexkern.app.data import read_cifar
from flexkern.app.data.cifar import CIFAR10_BATCHES, CIFAR10_NAMES

RNG = np.random.default_rng(0)


def batch(count=2, classes=10):
    return RNG.integers(0, 256, (count, 3072), dtype=np.uint8), RNG.integers(0, classes, count).tolist()


def python2_pickle(data, labels, key=b"labels"):
    """A batch byte for byte as Python 2 and an old numpy wrote it: protocol 2, byte strings, numpy.core."""
    array = data.tobytes()
    return b"".join(
        [
            b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
            b"(K\x01K" + bytes([len(data)]) + b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", len(array)) + array,
            b"tbU" + bytes([len(key)]) + key + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"eu.",
        ]
    )


def write_python(folder, write=python2_pickle):
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: batch() for name in (*CIFAR10_BATCHES, "test_batch")}
    for name, (data, labels) in parts.items():
        (folder / name).write_bytes(write(data, labels))
    return parts


def write_binary(folder, classes=10):
    folder.mkdir(parents=True, exist_ok=True)
    names = [*CIFAR10_BATCHES, "test_batch"] if classes == 10 else ["train", "test"]
    parts = {name: batch(classes=classes) for name in names}
    for name, (data, labels) in parts.items():
        heads = [bytes([label]) if classes == 10 else bytes([label // 5, label]) for label in labels]
        records = [head + row.tobytes() for head, row in zip(heads, data, strict=True)]
        (folder / f"{name}.bin").write_bytes(b"".join(records))
    return parts


def check(task, parts, classes=10):
    data = np.concatenate([data for name, (data, _) in parts.items() if not name.startswith("test")])
    labels = [label for name, (_, some) in parts.items() if not name.startswith("test") for label in some]
    torch.testing.assert_close(task.x_train.flatten(1) * 255, torch.from_numpy(data).float())
    assert task.x_train.shape[1:] == (3, 32, 32)
    assert task.y_train.tolist() == labels
    assert (len(task.y_test), task.classes) == (2, classes)


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-py"])
def test_python_batches_of_python_2(tmp_path, folder):
    parts = write_python(tmp_path / folder)
    task = read_cifar(tmp_path)
    check(task, parts)
    assert task.class_names == CIFAR10_NAMES


def test_python_batches_of_today(tmp_path):
    parts = write_python(tmp_path, lambda data, labels: pickle.dumps({"data": data, "labels": labels}, protocol=4))
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    task = read_cifar(tmp_path)
    check(task, parts)
    assert task.class_names == tuple("abcdefghij")


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin"])
def test_binary_batches(tmp_path, folder):
    parts = write_binary(tmp_path / folder)
    (tmp_path / folder / "batches.meta.txt").write_text("\n".join(reversed(CIFAR10_NAMES)) + "\n\n")
    task = read_cifar(tmp_path)
    check(task, parts)
    assert task.class_names == CIFAR10_NAMES[::-1]
    check(read_cifar(tmp_path / folder / "data_batch_2.bin"), parts)


def test_cifar100_binary_takes_the_fine_label(tmp_path):
    parts = write_binary(tmp_path / "cifar-100-binary", 100)
    check(read_cifar(tmp_path, 100), parts, 100)


def test_cifar100_python_takes_the_fine_label(tmp_path):
    parts = {name: batch(classes=100) for name in ("train", "test")}
    for name, (data, labels) in parts.items():
        (tmp_path / name).write_bytes(python2_pickle(data, labels, b"fine_labels"))
    check(read_cifar(tmp_path, 100), parts, 100)


class Runs:
    """Unpickled by pickle.load, this would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_code_is_refused_before_it_does(tmp_path):
    write_python(tmp_path)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({"data": Runs(tmp_path / "made"), "labels": []}))
    with pytest.raises(ValueError, match=r"data_batch_3: must be a CIFAR Python batch, it is refused: .*only numpy"):
        read_cifar(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["builtins eval", "os system", "numpy load", "numpy._core.multiarray scalar"])
def test_other_names_are_refused(tmp_path, name):
    write_python(tmp_path)
    module, attribute = name.split()
    (tmp_path / "test_batch").write_bytes(f"c{module}\n{attribute}\n(S'1'\ntR.".encode())
    with pytest.raises(ValueError, match=f"asks for {re.escape(module)}.{attribute}"):
        read_cifar(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a CIFAR Python batch, it is refused"),
        (b"\x00\x01 no pickle", "must be a CIFAR Python batch, it is refused"),
        (python2_pickle(*batch())[:-500], "must be a CIFAR Python batch, it is refused"),
        (pickle.dumps([1, 2]), "must be a pickled dict, got list"),
        (pickle.dumps({b"\xe7": 1, "data": 1}), "must have `data` and `labels`, got data, \N{REPLACEMENT CHARACTER}."),
        (pickle.dumps({"data": 1}), "must have `data` and `labels`, got data."),
        (pickle.dumps({"data": [1], "labels": [1]}), "`data` must be an array, got list"),
        (pickle.dumps({"data": np.zeros((2, 3072)), "labels": [1, 2]}, 4), "`data` must be uint8 (N, 3072)"),
        (pickle.dumps({"data": np.zeros((2, 9), np.uint8), "labels": [1, 2]}, 4), "got uint8 (2, 9)"),
        (
            pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, 4),
            "`labels` must be 2 integers",
        ),
        (
            pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}, 4),
            "must lie in 0..9, got 10",
        ),
    ],
)
def test_wrong_python_batches_are_refused(tmp_path, content, message):
    write_python(tmp_path)
    (tmp_path / "data_batch_5").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_cifar(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(3073 * 2 - 1), r"data_batch_5\.bin: must be records of 3073 bytes, got 6145 bytes"),
        (b"", r"data_batch_5\.bin: must be records of 3073 bytes, got 0 bytes"),
        (b"\x0a" + bytes(3072), r"`y_train` must lie in 0..9, got 10 at sample 8"),
    ],
)
def test_wrong_binary_batches_are_refused(tmp_path, content, message):
    write_binary(tmp_path)
    (tmp_path / "data_batch_5.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_cifar(tmp_path)


def test_missing_batches_and_names_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"looked for the batches data_batch_1\.bin .*--data-dir"):
        read_cifar(tmp_path)
    write_binary(tmp_path)
    (tmp_path / "batches.meta.txt").write_text("one two")
    with pytest.raises(ValueError, match="class names must list 10 names, got 2"):
        read_cifar(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_4\.bin: cannot be read"):
        read_cifar(tmp_path)
