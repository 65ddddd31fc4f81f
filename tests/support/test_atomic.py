import stat

import pytest
import torch

from flexkern._support.atomic import atomic_path, write_json, write_tensors, write_text


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["note.txt"]


def test_a_failure_of_the_first_write_leaves_nothing(tmp_path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "record.json", {"accuracy": float("nan")})
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_files_are_as_readable_as_any_other(tmp_path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain")}
    assert len(modes) == 1


def test_tied_and_strided_tensors_are_stored(tmp_path) -> None:
    from safetensors.torch import load_file

    tensor = torch.arange(6.0).view(2, 3)
    write_tensors(tmp_path / "t.safetensors", {"a": tensor, "b": tensor, "c": tensor.T})
    stored = load_file(tmp_path / "t.safetensors")
    torch.testing.assert_close(stored["b"], tensor)
    torch.testing.assert_close(stored["c"], tensor.T)
