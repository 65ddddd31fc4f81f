import re

import numpy as np
import pytest
import torch

from flexkern.app.data import read_series_npz, read_ts
from shared import shared_path

HEADER = """# any comment
%# another
@problemName Toy
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength {equal}
@classLabel true low high
@data
"""
TRAIN = "1,2,3:4,5,6:high\n7,8:9,1e1:low\n"
TEST = "0.5,-1,2,3:1,1,1,1:low\n"


def write_ts(folder, train=TRAIN, test=TEST, header=HEADER, equal="false"):
    for part, data in (("TRAIN", train), ("TEST", test)):
        (folder / f"Toy_{part}.ts").write_text(header.format(equal=equal) + data)


def write_npz(path, **changes):
    rng = np.random.default_rng(0)
    x_train, x_test = rng.normal(size=(4, 5, 2)), rng.normal(size=(2, 6, 2))
    x_train[1, 3:] = 0
    arrays = {
        "x_train": x_train,
        "y_train": np.array([0, 1, 1, 0]),
        "x_test": x_test,
        "y_test": np.array([1, 0]),
    }
    arrays |= {"len_train": np.array([5, 3, 5, 5]), "len_test": np.array([6, 6])}
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(path, **arrays)
    return arrays


def test_ts_round_trip_with_unequal_lengths(tmp_path):
    write_ts(tmp_path)
    task = read_ts(tmp_path)
    assert (task.name, task.class_names) == ("Toy", ("low", "high"))
    expected = [[[1, 2, 3, 0], [4, 5, 6, 0]], [[7, 8, 0, 0], [9, 10, 0, 0]]]
    assert torch.equal(task.x_train, torch.tensor(expected, dtype=torch.float32))
    assert (task.y_train.tolist(), task.y_test.tolist()) == ([1, 0], [0])
    assert (task.lengths_train.tolist(), task.lengths_test.tolist()) == ([3, 2], [4])
    assert torch.equal(read_ts(tmp_path / "Toy_TEST.ts").x_test, task.x_test)


def test_ts_of_equal_lengths_has_none(tmp_path):
    write_ts(tmp_path, "1,2:3,4:low\n", "5,6:7,8:high\n", equal="true")
    task = read_ts(tmp_path)
    assert task.lengths_train is None
    assert task.lengths_test is None


def test_ts_classes_keep_the_order_of_the_training_header(tmp_path):
    write_ts(tmp_path)
    swapped = HEADER.replace("low high", "high low").format(equal="false")
    (tmp_path / "Toy_TEST.ts").write_text(swapped + TEST)
    assert read_ts(tmp_path).y_test.tolist() == [0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,?,3:4,5,6:low", "line 11: has missing values (?); fill them in first."),
        ("1,NaN,3:4,5,6:low", "line 11: has missing values (NaN)"),
        ("1,2,x:4,5,6:low", "line 11: values must be numbers and commas"),
        ("1,,3:4,5,6:low", "line 11: values must be numbers and commas"),
        ("1,2,3:4,5,6:middle", "line 11: label must be one of low high, got 'middle'."),
        ("1,2,3:4,5,6", "line 11: label must be one of low high, got '4,5,6'."),
        ("1,2,3:4,5:low", "line 11: must be dimensions of one length and a label"),
        ("low", "line 11: must be dimensions of one length and a label"),
        ("1,2:low", "must have the @dimensions 2 of its header, got 1."),
        ("1:2:high\n1:2:3:low", "line 12: must have 2 dimensions, got 3."),
        ("", "must have samples after @data, found none."),
    ],
)
def test_wrong_ts_lines_are_refused(tmp_path, line, message):
    write_ts(tmp_path, train=line + "\n")
    with pytest.raises(ValueError, match=r"Toy_TRAIN\.ts: .*" + re.escape(message)):
        read_ts(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@data\n", "", "must be a .ts file: lines with @tags, then @data."),
        ("@timeStamps false", "@timeStamps true", "series with time stamps are not read"),
        ("@classLabel true low high", "@targetlabel true", "regression targets are not read"),
        ("@classLabel true low high", "@classLabel false", "must name its classes"),
        ("@equalLength {equal}", "@equalLength true", "must have one length (@equalLength true), got 2..3."),
    ],
)
def test_wrong_ts_headers_are_refused(tmp_path, old, new, message):
    write_ts(tmp_path, header=HEADER.replace(old, new))
    with pytest.raises(ValueError, match=r"Toy_TRAIN\.ts: " + ".*" + re.escape(message)):
        read_ts(tmp_path)


def test_ts_series_length_of_the_header_is_checked(tmp_path):
    write_ts(tmp_path, "1,2:3,4:low\n", header=HEADER.replace("@data", "@seriesLength 3\n@data"))
    with pytest.raises(ValueError, match="must have the @seriesLength 3 of its header, got 2"):
        read_ts(tmp_path)


def test_binary_file_is_no_ts(tmp_path):
    write_ts(tmp_path)
    (tmp_path / "Toy_TRAIN.ts").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"must be a \.ts file"):
        read_ts(tmp_path)


def test_ts_parts_must_fit_each_other(tmp_path):
    write_ts(tmp_path)
    univariate = HEADER.replace("@dimensions 2\n", "").format(equal="false")
    (tmp_path / "Toy_TEST.ts").write_text(univariate + "1,2:low\n")
    with pytest.raises(ValueError, match=r"Toy_TEST\.ts: must have the classes and dimensions of Toy_TRAIN\.ts"):
        read_ts(tmp_path)
    (tmp_path / "Toy_TEST.ts").unlink()
    with pytest.raises(FileNotFoundError, match=r"Toy_TEST\.ts: no such file, a pair"):
        read_ts(tmp_path)
    write_ts(tmp_path)
    (tmp_path / "Other_TRAIN.ts").write_text("")
    with pytest.raises(FileNotFoundError, match=r"must have one \*_TRAIN\.ts, found 2; name the file itself"):
        read_ts(tmp_path)


def test_archive_round_trip_pads_to_the_longer_part(tmp_path):
    arrays = write_npz(tmp_path / "Waves.npz", class_names=np.array(["up", "down"]))
    task = read_series_npz(tmp_path)
    assert (task.name, task.class_names, task.channels, task.shape) == ("Waves", ("up", "down"), 2, (6,))
    torch.testing.assert_close(task.x_train[..., :5], torch.from_numpy(arrays["x_train"]).float().transpose(1, 2))
    assert task.x_train[..., 5].eq(0).all()
    assert (task.lengths_train.tolist(), task.lengths_test.tolist()) == ([5, 3, 5, 5], [6, 6])


def test_archive_of_full_lengths_has_none(tmp_path):
    x = np.ones((4, 6, 2), np.int16)
    write_npz(tmp_path / "a.npz", x_train=x, len_train=None, len_test=None)
    assert read_series_npz(tmp_path / "a.npz").lengths_train is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((4, 5))}, "`x_train` must be numbers (N, T, C), got float64 (4, 5)."),
        ({"x_train": np.full((4, 5, 2), "a")}, "`x_train` must be numbers (N, T, C), got <U1 (4, 5, 2)."),
        ({"x_train": None}, "missing: x_train."),
        ({"x_train": np.full((4, 5, 2), np.nan), "len_train": None}, "`x_train` must be finite, sample 0"),
        ({"len_train": np.array([5, 2, 5, 5])}, "must be 0 beyond their length, sample 1 is not"),
        ({"len_train": np.array([7, 3, 5, 5])}, "`lengths_train` must lie in 1..6, got 3..7."),
        ({"len_train": np.array([5, 3, 5])}, "`lengths_train` must be int64 (4,)"),
        ({"y_train": np.array([1, 2, 2, 1]), "class_names": np.array(["a", "b"])}, "must lie in 0..1, got 2"),
        ({"x_test": np.zeros((2, 6, 3)), "len_test": None}, "must have samples of one shape"),
    ],
)
def test_wrong_archives_are_refused(tmp_path, change, message):
    write_npz(tmp_path / "a.npz", **change)
    with pytest.raises(ValueError, match=r"a\.npz: .*" + re.escape(message)):
        read_series_npz(tmp_path / "a.npz")


def test_real_japanese_vowels_have_their_lengths():
    task = read_series_npz(shared_path("data", "uea", "JapaneseVowels.npz"))
    assert (task.x_train.shape, task.x_test.shape, task.classes) == ((270, 12, 29), (370, 12, 29), 9)
    assert (int(task.lengths_train.min()), int(task.lengths_test.max())) == (7, 29)


def test_every_real_archive_is_read():
    names = [read_series_npz(path).name for path in sorted(shared_path("data", "uea").glob("*.npz"))]
    assert {"ArrowHead", "BasicMotions", "GunPoint", "PenDigits", "Worms"} <= set(names)
