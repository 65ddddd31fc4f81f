"""Folders of .wav files, read by the standard library's `wave`: PCM of 8, 16, 24 or 32 bits."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .files import LOCAL_COPY, class_folders, naming
from .sequences import series_task, stack_series
from .task import Task


def read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    """One file as float32 (C, T) in [-1, 1) and its sample rate in Hz.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not PCM, truncated, or without a sample.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {LOCAL_COPY}.")
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
            data = file.readframes(frames)
    except (wave.Error, EOFError, OSError, RuntimeError) as error:
        why = str(error) or "it is cut short"
        raise ValueError(f"{path}: must be a .wav file of PCM samples ({why}).") from error
    if width not in (1, 2, 3, 4):
        raise ValueError(f"{path}: must have 8, 16, 24 or 32 bits a sample, has {8 * width}.")
    if not frames or len(data) != frames * channels * width:
        raise ValueError(f"{path}: must hold the {frames} > 0 samples of its header, got {len(data)} bytes.")
    return _decode(data, width).reshape(-1, channels).T, rate


def _decode(data: bytes, width: int) -> NDArray[np.float32]:
    scale = 2.0 ** (8 * width - 1)
    if width == 3:  # as the upper bytes of 32 bits, so that the sign is in its place
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width, scale = wide.tobytes(), 4, 2.0**31
    # 8 bits is the one unsigned format: its silence is 128
    values = np.frombuffer(data, np.uint8) - scale if width == 1 else np.frombuffer(data, f"<i{width}")
    return (values / scale).astype(np.float32)


def read_wav_folder(root: Path, name: str = "wav", *, length: int | None = None) -> Task:
    """Recordings: train/<class>/*.wav and test/<class>/*.wav, or <class>/*.wav (see `class_folders`).

    Args:
        root: the folder.
        name: name of the task.
        length: samples to pad (zeros at the end) or crop to; None takes the longest training recording.

    The sample rate is kept in `extras["sample_rate"]`.

    Raises:
        FileNotFoundError, ValueError: no folder, an empty class, an unreadable file, or files of
            differing rates or channels.
    """
    if length is not None and length < 1:
        raise ValueError(f"`length` must be positive, got {length}.")
    names, *parts = class_folders(root, (".wav",))
    read = [[(path, *read_wav(path)) for path, _ in files] for files in parts]
    _, first, rate = read[0][0]
    for path, clip, its_rate in read[0] + read[1]:
        if (its_rate, len(clip)) != (rate, len(first)):
            got = f"{its_rate} Hz, {len(clip)} channels"
            raise ValueError(f"{path}: must be {rate} Hz, {len(first)} channels as the others, got {got}.")
    steps = length or max(clip.shape[1] for _, clip, _ in read[0])
    x, lengths, y = {}, {}, {}
    for part, clips, files in zip(("train", "test"), read, parts, strict=True):
        x[part], lengths[part] = stack_series([clip for _, clip, _ in clips], steps)
        y[part] = torch.tensor([label for _, label in files])
    with naming(root):
        return series_task(name, x, y, names, lengths, extras={"sample_rate": torch.tensor(rate)})
