import builtins
import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from flexkern.app.data import read_image_folder, read_image_npz
from shared import shared_path

RNG = np.random.default_rng(0)
Y_TRAIN, Y_TEST = np.array([0, 1, 2, 0, 1]), np.array([2, 0])


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def write_npz(path, **changes):
    arrays = {"x_train": pixels(5, 4, 6), "y_train": Y_TRAIN, "x_test": pixels(2, 4, 6), "y_test": Y_TEST}
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(path, **arrays)
    return arrays


def test_grey_archive_round_trip(tmp_path):
    arrays = write_npz(tmp_path / "a.npz")
    task = read_image_npz(tmp_path / "a.npz", "mine")
    assert (task.name, task.channels, task.shape, task.class_names) == ("mine", 1, (4, 6), ("0", "1", "2"))
    expected = torch.from_numpy(arrays["x_train"]).float().unsqueeze(1) / 255
    torch.testing.assert_close(task.x_train, expected)
    assert torch.equal(task.y_test, torch.from_numpy(Y_TEST))


@pytest.mark.parametrize("channels_last", [True, False])
def test_colour_archive_round_trip(tmp_path, channels_last):
    images = pixels(5, 6, 8, 3)
    stored = images if channels_last else images.transpose(0, 3, 1, 2)
    # Keras stores CIFAR labels as (N, 1)
    write_npz(tmp_path / "a.npz", x_train=stored, x_test=stored[:2], y_train=Y_TRAIN[:, None].astype(np.uint8))
    task = read_image_npz(tmp_path / "a.npz")
    assert (task.channels, task.shape) == (3, (6, 8))
    torch.testing.assert_close(task.x_train[1, 2, 3, 4].item() * 255, float(images[1, 3, 4, 2]))
    assert task.y_train.tolist() == Y_TRAIN.tolist()


def test_float_images_in_the_unit_interval_pass_unchanged(tmp_path):
    images = RNG.random((5, 4, 6))
    write_npz(tmp_path / "a.npz", x_train=images, x_test=images[:2], class_names=np.array(["x", "y", "z"]))
    task = read_image_npz(tmp_path / "a.npz")
    torch.testing.assert_close(task.x_train[:, 0], torch.from_numpy(images).float())
    assert task.class_names == ("x", "y", "z")


def test_jpeg_bytes_are_decoded(tmp_path):
    grey = [np.full((8, 8, 3), level, np.uint8) for level in (0, 100, 255, 30, 60)]
    files = []
    for image in grey:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG")
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    offsets = np.cumsum([0, *map(len, files)])
    jpegs = {
        "x_train": None,
        "x_test": None,
        "jpeg_train": np.concatenate(files),
        "offsets_train": offsets,
        "jpeg_test": np.concatenate(files[:2]),
        "offsets_test": offsets[:3],
    }
    write_npz(tmp_path / "a.npz", **jpegs)
    task = read_image_npz(tmp_path / "a.npz")
    assert task.x_train.shape == (5, 3, 8, 8)
    torch.testing.assert_close(task.x_train[:, 0, 0, 0] * 255, torch.tensor([0.0, 100, 255, 30, 60]))
    write_npz(tmp_path / "b.npz", **(jpegs | {"offsets_test": np.array([0, 5, 9])}))
    with pytest.raises(ValueError, match=r"b\.npz: must have JPEG files of one size between its offsets"):
        read_image_npz(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_test": None}, "must have the arrays x_train, y_train, x_test, y_test; missing: y_test."),
        ({"x_train": np.zeros((5, 4))}, "`x_train` must be images (N, H, W) or (N, H, W, C)"),
        ({"x_train": np.zeros((5, 7, 6, 2))}, "`x_train` must be images"),
        (
            {"x_train": np.zeros((5, 4, 6), np.int32)},
            "`x_train` must be uint8, or float in [0, 1], got int32.",
        ),
        ({"x_train": np.full((5, 4, 6), 2.0)}, "must be uint8 or lie in [0, 1], got 2..2"),
        ({"x_train": np.full((5, 4, 6), np.nan)}, "must be finite, got NaN or infinity"),
        ({"x_train": np.zeros((0, 4, 6), np.uint8), "y_train": np.zeros(0, int)}, "with at least one sample"),
        ({"y_train": np.zeros(5)}, "`y_train` must be integers (N,), got float64 (5,)."),
        ({"y_train": Y_TRAIN[:4]}, "`y_train` must be int64 (5,), one label per sample, got int64 (4,)."),
        ({"y_train": -Y_TRAIN}, "`y_train` must lie in 0..2, got -1 at sample 1."),
        ({"class_names": np.array(["x", "y"])}, "`y_train` must lie in 0..1, got 2 at sample 2."),
        ({"x_test": pixels(2, 4, 5)}, "must have samples of one shape, got (1, 4, 6) and (1, 4, 5)."),
        ({"y_train": Y_TRAIN * 10**6}, "labels must be 0..classes-1, got 2000000"),
        ({"class_names": np.array(["x", None], object)}, "arrays must be plain numbers"),
    ],
)
def test_wrong_archives_are_refused_with_their_name(tmp_path, change, message):
    write_npz(tmp_path / "wrong.npz", **change)
    with pytest.raises(ValueError, match=r"wrong\.npz: .*" + re.escape(message)) as caught:
        read_image_npz(tmp_path / "wrong.npz")
    assert "\n" not in str(caught.value)


def test_damaged_archives_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path)
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-9],
        b"",
        b"no archive",
        whole[:80] + b"\xff" * 40 + whole[120:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.npz: must be a complete \.npz archive"):
            read_image_npz(path)
    newer = bytearray(whole)
    newer[whole.index(b"PK\x01\x02") + 6] = 99  # a version of zip to come
    path.write_bytes(newer)
    with pytest.raises(ValueError, match=r"a\.npz: must be a complete \.npz archive"):
        read_image_npz(path)
    np.save(tmp_path / "b.npy", Y_TRAIN)
    with pytest.raises(ValueError, match=r"b\.npy: must be a complete \.npz archive"):
        read_image_npz(tmp_path / "b.npy")
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file; a local copy is given by --data-dir"):
        read_image_npz(tmp_path / "none.npz")


def write_images(root, names, count=3, size=(6, 4), mode="RGB"):
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            shape = (size[1], size[0], 3) if mode == "RGB" else size[::-1]
            Image.fromarray(pixels(*shape)).save(root / name / f"{i}.png")


def test_image_folder_round_trip(tmp_path):
    write_images(tmp_path / "train", ["dog", "cat"])
    write_images(tmp_path / "test", ["dog"], count=2)
    (tmp_path / "train" / "cat" / "Thumbs.db").write_bytes(b"left out")
    task = read_image_folder(tmp_path)
    assert task.class_names == ("cat", "dog")
    assert task.x_train.shape == (6, 3, 4, 6)
    assert (task.y_train.tolist(), task.y_test.tolist()) == ([0, 0, 0, 1, 1, 1], [1, 1])
    expected = torch.from_numpy(np.array(Image.open(tmp_path / "train" / "dog" / "1.png"))).permute(2, 0, 1)
    torch.testing.assert_close(task.x_train[4] * 255, expected.float())


def test_image_folder_without_a_test_part_holds_out_a_fifth(tmp_path):
    write_images(tmp_path, ["a", "b"], count=10, mode="L")
    task = read_image_folder(tmp_path)
    assert task.x_train.shape == (16, 1, 4, 6)
    assert task.y_test.tolist() == [0, 0, 1, 1]
    seen = torch.cat([task.x_train, task.x_test]).flatten(1)
    assert len(seen.unique(dim=0)) == 20  # nothing twice
    assert torch.equal(read_image_folder(tmp_path).x_test, task.x_test)


def test_grey_among_colour_becomes_colour(tmp_path):
    write_images(tmp_path / "train", ["a"], mode="L")
    write_images(tmp_path / "train", ["b"])
    write_images(tmp_path / "test", ["a"], mode="L")
    task = read_image_folder(tmp_path)
    assert task.channels == 3
    assert torch.equal(task.x_train[0, 0], task.x_train[0, 2])


def test_images_of_other_sizes_are_refused_or_resized(tmp_path):
    write_images(tmp_path, ["a", "b"])
    Image.fromarray(pixels(9, 9, 3)).save(tmp_path / "b" / "1.png")
    with pytest.raises(ValueError, match=r"1\.png: images must have one size \(4, 6\), got \(9, 9\)"):
        read_image_folder(tmp_path)
    assert read_image_folder(tmp_path, size=(5, 7)).shape == (5, 7)


def test_wrong_image_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        read_image_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="must have one folder per class, found none"):
        read_image_folder(tmp_path)
    write_images(tmp_path / "train", ["a", "b"])
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: must have files \.png .* found none"):
        read_image_folder(tmp_path)
    (tmp_path / "train" / "empty").rmdir()
    write_images(tmp_path / "test", ["c"])
    with pytest.raises(ValueError, match="test: must have only classes of the training set, found 'c'"):
        read_image_folder(tmp_path)


def test_unreadable_images_are_refused(tmp_path):
    write_images(tmp_path, ["a", "b"])
    path = tmp_path / "a" / "0.png"
    whole = path.read_bytes()
    for damaged in (b"no image", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"0\.png: must be a complete image file"):
            read_image_folder(tmp_path)
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(path)
    with pytest.raises(ValueError, match=r"0\.png: must have 8 bits per channel, got mode I;16"):
        read_image_folder(tmp_path)


def test_missing_pillow_names_the_extra(tmp_path, monkeypatch):
    write_images(tmp_path, ["a", "b"])
    whole = builtins.__import__

    def without_pillow(name, *args, **kwargs):
        if name.startswith("PIL"):
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(ImportError, match=r"Pillow needs the `data` extra: pip install 'flexkern\[data\]'"):
        read_image_folder(tmp_path)


def test_real_mnist_has_the_published_mean():
    task = read_image_npz(shared_path("data", "mnist.npz"), "mnist")
    assert (task.x_train.shape, task.x_test.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert task.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert task.x_train.mean().item() == pytest.approx(0.1307, abs=5e-5)
