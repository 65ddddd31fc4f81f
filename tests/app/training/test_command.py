"""The command line that records of runs and results store: ready to paste, without folders of one machine."""

import pytest

from flexkern.app.training.record import command_without_places


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            ["/bin/flexkern", "train", "digits", "--data-dir", "/home/me/data", "--out=/tmp/x", "--seed", "1"],
            "flexkern train digits --data-dir PATH --out PATH --seed 1",
        ),
        (
            ["/bin/flexkern", "inspect", "w", "--data_dir", "/d", "--figure=/tmp/x.png"],
            "flexkern inspect w --data_dir PATH --figure PATH",
        ),
        (
            ["/x/src/flexkern/__main__.py", "fit-kernel", "/home/me/photo.jpg", "--size", "9"],
            "flexkern fit-kernel PATH --size 9",
        ),
        (["/x/src/flexkern/app/cli/main.py", "train", "digits"], "flexkern train digits"),
        (
            ["/bin/flexkern", "train", "my.yaml", "--data-dir", "/my data/x", "--data.dir=/d", "--only", "a / b,c"],
            "flexkern train my.yaml --data-dir PATH --data.dir=PATH --only 'a / b,c'",
        ),
        (
            ["/x/experiments/__main__.py", "motion", "--data-dir", "/home/me/data", "--seeds", "1"],
            "python -m experiments motion --data-dir PATH --seeds 1",
        ),
    ],
)
def test_commands_are_stored_without_folders(words, shown, monkeypatch):
    monkeypatch.setattr("sys.argv", words)
    assert command_without_places() == shown
