import gzip
import re
import struct

import numpy as np
import pytest
import torch

from flexkern.app.data import read_idx_folder

RNG = np.random.default_rng(0)
IMAGES = {
    "train": RNG.integers(0, 256, (7, 5, 4), dtype=np.uint8),
    "t10k": RNG.integers(0, 256, (3, 5, 4), dtype=np.uint8),
}
LABELS = {"train": np.array([0, 1, 2, 3, 0, 1, 2], np.uint8), "t10k": np.array([3, 1, 0], np.uint8)}


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder, *, spelling="{}-{}-{}-ubyte", zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for stem in ("train", "t10k"):
        for kind, code, array in (("images", "idx3", IMAGES[stem]), ("labels", "idx1", LABELS[stem])):
            path = folder / (spelling.format(stem, kind, code) + (".gz" if zipped else ""))
            path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("spelling", ["{}-{}-{}-ubyte", "{}-{}.{}-ubyte"])
@pytest.mark.parametrize("place", ["", "MNIST/raw"])
def test_idx_round_trip(tmp_path, zipped, spelling, place):
    write_idx(tmp_path / place, spelling=spelling, zipped=zipped)
    task = read_idx_folder(tmp_path)
    assert (task.shape, task.class_names) == ((5, 4), ("0", "1", "2", "3"))
    torch.testing.assert_close(task.x_train[:, 0] * 255, torch.from_numpy(IMAGES["train"]).float())
    assert task.y_test.tolist() == LABELS["t10k"].tolist()


def test_one_of_the_files_stands_for_its_folder(tmp_path):
    write_idx(tmp_path)
    assert len(read_idx_folder(tmp_path / "t10k-labels-idx1-ubyte").y_test) == 3


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
GOOD = idx_bytes(IMAGES["train"])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            TRAIN_IMAGES,
            idx_bytes(LABELS["train"]),
            "must start with 0x00000803 (idx, 3 axes), got 0x00000801",
        ),
        (TRAIN_LABELS, GOOD, "must start with 0x00000801 (idx, 1 axes), got 0x00000803"),
        (TRAIN_IMAGES, GOOD[:-1], "must have values of (7, 5, 4) after its header, got 139 bytes"),
        (TRAIN_IMAGES, GOOD + b"!", "must have values of (7, 5, 4) after its header, got 141 bytes"),
        (TRAIN_IMAGES, GOOD[:9], "must have a header of 16 bytes, got 9"),
        (TRAIN_IMAGES, b"", "must start with 0x00000803"),
        (TRAIN_IMAGES, gzip.compress(GOOD)[:-20], "must be a complete gzip file"),
        (TEST_IMAGES, idx_bytes(IMAGES["t10k"][:0]), "must have values of (0, 5, 4)"),
        (TEST_LABELS, idx_bytes(LABELS["t10k"][:2]), "`y_test` must be int64 (3,), one label per sample"),
    ],
)
def test_wrong_idx_files_are_refused(tmp_path, name, data, message):
    write_idx(tmp_path)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_idx_folder(tmp_path)


def test_labels_beyond_the_given_classes_are_refused(tmp_path):
    write_idx(tmp_path)
    with pytest.raises(ValueError, match=r"`y_train` must lie in 0..1, got 2 at sample 2"):
        read_idx_folder(tmp_path, names=("a", "b"))


def test_a_missing_file_is_named(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"looked for .*t10k.*labels-idx1-ubyte.* given by --data-dir"):
        read_idx_folder(tmp_path)
