import re
import wave

import numpy as np
import pytest
import torch

from flexkern.app.data import read_wav_folder
from flexkern.app.data.audio import read_wav

RNG = np.random.default_rng(0)


def write_wav(path, values, width=2, rate=8000):
    """Values (T,) or (C, T), integers in the range of `width` bytes, as PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.atleast_2d(values).astype(np.int64).T
    shifted = values + 128 if width == 1 else values
    data = shifted[..., None].astype("<i8").view(np.uint8).reshape(*values.shape, 8)[..., :width]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data.tobytes())


def write_folder(root):
    clips = {("go", 0): 5, ("go", 1): 3, ("stop", 0): 2, ("stop", 1): 5}
    for (name, i), count in clips.items():
        write_wav(root / "train" / name / f"{i}.wav", np.full(count, 2**14))
    write_wav(root / "test" / "stop" / "0.wav", np.arange(1, 9) * 2**10)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_pcm_round_trip(tmp_path, width, channels):
    full = 2 ** (8 * width - 1)
    values = RNG.integers(-full, full, (channels, 50))
    values[0, :4] = [-full, full - 1, 0, -1]
    write_wav(tmp_path / "a.wav", values, width, rate=16000)
    signal, rate = read_wav(tmp_path / "a.wav")
    assert (rate, signal.dtype, signal.shape) == (16000, np.float32, (channels, 50))
    np.testing.assert_allclose(signal, values / full, atol=2**-24, rtol=2**-24)


def test_recordings_are_padded_to_the_longest_for_training(tmp_path):
    write_folder(tmp_path)
    task = read_wav_folder(tmp_path)
    assert (task.class_names, task.channels, task.shape) == (("go", "stop"), 1, (5,))
    assert task.lengths_train.tolist() == [5, 3, 2, 5]
    assert task.x_train[1, 0].tolist() == [0.5, 0.5, 0.5, 0, 0]
    assert task.lengths_test.tolist() == [5]  # cropped
    assert task.extras["sample_rate"].item() == 8000


@pytest.mark.parametrize("length", [2, 9])
def test_recordings_are_padded_or_cropped_to_the_stated_length(tmp_path, length):
    write_folder(tmp_path)
    task = read_wav_folder(tmp_path, length=length)
    assert task.shape == (length,)
    if length == 2:
        assert task.lengths_train is None
        assert task.x_test[0, 0].tolist() == [1 / 32, 2 / 32]
    else:
        assert task.lengths_test.tolist() == [8]
        assert torch.equal(task.x_test[0, 0], torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 0]) / 32)


def test_a_folder_without_test_part_holds_out_a_fifth(tmp_path):
    for name in ("a", "b"):
        for i in range(5):
            write_wav(tmp_path / name / f"{i}.wav", [i, i])
    task = read_wav_folder(tmp_path)
    assert (task.y_train.tolist(), task.y_test.tolist()) == ([0] * 4 + [1] * 4, [0, 1])


def test_recordings_must_agree_in_rate_and_channels(tmp_path):
    write_folder(tmp_path)
    write_wav(tmp_path / "test" / "stop" / "0.wav", [1, 2], rate=16000)
    message = "0.wav: must be 8000 Hz, 1 channels as the other recordings, got 16000 Hz, 1 channels."
    with pytest.raises(ValueError, match=re.escape(message)):
        read_wav_folder(tmp_path)
    write_wav(tmp_path / "test" / "stop" / "0.wav", np.ones((2, 3)))
    with pytest.raises(ValueError, match="got 8000 Hz, 2 channels"):
        read_wav_folder(tmp_path)


def test_unreadable_recordings_are_refused(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / "train" / "go" / "0.wav"
    whole = path.read_bytes()
    for damaged in (b"", b"no recording at all", whole[:30], whole[:20] + b"\x03" + whole[21:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"0\.wav: must be a \.wav file of PCM samples \(.+\)"):
            read_wav_folder(tmp_path)
    path.write_bytes(whole[:-4])
    with pytest.raises(ValueError, match=r"0\.wav: must have the 10 bytes of samples that its header states, got 6"):
        read_wav_folder(tmp_path)
    write_wav(path, np.zeros(0))
    with pytest.raises(ValueError, match="must have at least one sample, got none"):
        read_wav_folder(tmp_path)


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`length` must be positive, got 0"):
        read_wav_folder(tmp_path, length=0)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_wav_folder(tmp_path / "none")
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"a: must have files \.wav, found none"):
        read_wav_folder(tmp_path)
