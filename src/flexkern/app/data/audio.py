"""Folders of .wav files with PCM samples of 8, 16, 24 or 32 bits, read by `wave` of the standard library."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .files import LOCAL_COPY, LabelledFile, class_folders, naming
from .sequences import series_task, stack_series
from .task import Task

SAMPLE_BYTES = (1, 2, 3, 4)


class Recording(NamedTuple):
    """One file with its signal (C, T), its sample rate in Hz and its class."""

    path: Path
    signal: NDArray[np.float32]
    rate: int
    label: int

    @property
    def channels(self) -> int:
        """C."""
        return len(self.signal)

    @property
    def steps(self) -> int:
        """T."""
        return self.signal.shape[1]


def read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    """Read one file; return float32 (C, T) in [-1, 1) and the sample rate in Hz.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not PCM, is truncated, or has no sample.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {LOCAL_COPY}.")
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
            data = file.readframes(frames)
    except (wave.Error, EOFError, OSError, RuntimeError) as error:
        reason = str(error) or "it is truncated"
        raise ValueError(f"{path}: must be a .wav file of PCM samples ({reason}).") from error
    if width not in SAMPLE_BYTES:
        raise ValueError(f"{path}: must have 8, 16, 24 or 32 bits per sample, got {8 * width}.")
    if frames == 0:
        raise ValueError(f"{path}: must have at least one sample, got none.")
    size = frames * channels * width
    if len(data) != size:
        raise ValueError(f"{path}: must have the {size} bytes of samples that its header states, got {len(data)}.")
    samples = _decode_pcm(data, width)
    return samples.reshape(-1, channels).T, rate


def _decode_pcm(data: bytes, width: int) -> NDArray[np.float32]:
    if width == 1:
        # The only unsigned format: silence is 128.
        values = np.frombuffer(data, np.uint8) - 128.0
        return (values / 128.0).astype(np.float32)
    if width == 3:
        # Stored as the upper bytes of 32 bits, so that the sign bit is in its place.
        samples = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(samples), 4), np.uint8)
        wide[:, 1:] = samples
        return _decode_pcm(wide.tobytes(), 4)
    scale = 2.0 ** (8 * width - 1)
    values = np.frombuffer(data, f"<i{width}") / scale
    return values.astype(np.float32)


def read_wav_folder(
    root: Path,
    name: str = "wav",
    *,
    length: int | None = None,
) -> Task:
    """Read recordings from train/<class>/*.wav and test/<class>/*.wav, or <class>/*.wav (see `class_folders`).

    The sample rate is stored in `extras["sample_rate"]`.

    Args:
        root: Folder of the recordings.
        name: Name of the task.
        length: Samples to pad (zeros at the end) or crop to. None takes the longest training recording.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: A class has no file, a file cannot be read, or files differ in rate or channels.
    """
    if length is not None and length < 1:
        raise ValueError(f"`length` must be positive, got {length}.")
    class_names, train_files, test_files = class_folders(root, (".wav",))
    recordings = {
        "train": _read_recordings(train_files),
        "test": _read_recordings(test_files),
    }
    first = recordings["train"][0]
    for recording in recordings["train"] + recordings["test"]:
        _check_format(recording, first)
    steps = length or max(recording.steps for recording in recordings["train"])
    series = {}
    lengths = {}
    labels = {}
    for subset, subset_recordings in recordings.items():
        signals = [recording.signal for recording in subset_recordings]
        series[subset], lengths[subset] = stack_series(signals, steps)
        labels[subset] = torch.tensor([recording.label for recording in subset_recordings])
    extras = {"sample_rate": torch.tensor(first.rate)}
    with naming(root):
        return series_task(name, series, labels, class_names, lengths, extras=extras)


def _read_recordings(files: list[LabelledFile]) -> list[Recording]:
    recordings = []
    for path, label in files:
        signal, rate = read_wav(path)
        recordings.append(Recording(path, signal, rate, label))
    return recordings


def _check_format(recording: Recording, first: Recording) -> None:
    if recording.rate == first.rate and recording.channels == first.channels:
        return
    raise ValueError(
        f"{recording.path}: must be {first.rate} Hz, {first.channels} channels as the other recordings,"
        f" got {recording.rate} Hz, {recording.channels} channels."
    )
