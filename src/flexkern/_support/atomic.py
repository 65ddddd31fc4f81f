"""Files that are complete or absent: they are written to a temporary path, then moved into place."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, moved to ``path`` when the block ends and deleted when it fails.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(Path(folder) / "note.txt") as temporary:
        ...         _ = temporary.write_text("all or nothing")
        ...     [path.name for path in Path(folder).iterdir()]
        ['note.txt']
    """
    path = Path(path)
    # mkstemp creates private files; give the file the permissions of any new one.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, indented, with its keys in their order."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically; tied tensors are written once per name."""
    from safetensors.torch import save_file

    copies = {}
    for name, tensor in tensors.items():
        copies[name] = tensor.detach().cpu().contiguous().clone()
    with atomic_path(path) as temporary:
        save_file(copies, temporary, metadata=dict(metadata or {}))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
