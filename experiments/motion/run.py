"""Does adaptivity pay where products of pixels are needed? Telling a shift between two frames.

Two noisy views of a natural image, shifted by up to two pixels in each direction: which of the 25 shifts? An optical
mouse and an image stabiliser ask this all the time. Adaptive kernels multiply pixels; an ordinary network has to build
products from rectified sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from flexkern.app.data.files import image_files
from flexkern.app.measure.exported import require_export
from flexkern.app.training.record import write_result

from .motion_nets import CLASSES, FRAMES, NETS, REACH
from .trial import Result, Samples, chosen, compare, gain_over, run_trials, summarise

SIDE, NOISE = 16, 0.5
COUNTS = {"train": 40_000, "validation": 5_000, "test": 10_000}
BATCH, RATE = 256, 0.01


def make_pairs(images: Sequence[Tensor], count: int, seed: int) -> Samples:
    """Patches of grey images (H, W) and the same shifted, of mean 0 and deviation 1, then with noise.

    Example:
        >>> x, y = make_pairs([torch.rand(40, 40)], 5, 0)
        >>> x.shape, bool((y < 25).all())
        (torch.Size([5, 2, 16, 16]), True)
    """
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(len(images), (count,), generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    places = torch.rand(count, 2, generator=generator)
    x = torch.empty(count, FRAMES, SIDE, SIDE)
    for pair, image, label, place in zip(x, sources.tolist(), labels.tolist(), places.tolist(), strict=True):
        whole = images[image]
        top, left = (REACH + int(p * (n - SIDE - 2 * REACH)) for p, n in zip(place, whole.shape, strict=True))
        down, right = label // (2 * REACH + 1) - REACH, label % (2 * REACH + 1) - REACH
        pair[0] = whole[top : top + SIDE, left : left + SIDE]
        pair[1] = whole[top + down : top + down + SIDE, left + right : left + right + SIDE]
    x -= x.mean((1, 2, 3), keepdim=True)
    x /= x.std((1, 2, 3), keepdim=True) + 0.01
    return Samples(x + NOISE * torch.randn(x.shape, generator=generator), labels)


def read_grey(folder: str | Path) -> list[Tensor]:
    """All images of a folder, by name, as grey values (H, W) in [0, 1].

    Raises:
        FileNotFoundError: fewer than four images, too few for training, validation and test.
    """
    import numpy as np
    from PIL import Image

    paths = image_files(folder, 4)
    return [torch.from_numpy(np.asarray(Image.open(path).convert("L"), dtype="float32") / 255) for path in paths]


def split_images(images: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Five eighths to train, one to validate, two to test (no image in two parts)."""
    first, second = len(images) * 5 // 8, -(-len(images) * 6 // 8)
    return {"train": [*images[:first]], "validation": [*images[first:second]], "test": [*images[second:]]}


def reproduce_motion(
    out: str | Path,
    data_dir: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    epochs: int = 2,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains every network on the same pairs, once per seed; picks the best plain ones by validation.

    Raises:
        ValueError: for an unknown network; FileNotFoundError: too few images; ModuleNotFoundError: no ONNX Runtime.
    """
    require_export()
    nets, images = chosen(NETS, only), split_images(read_grey(data_dir))
    data = {part: make_pairs(images[part], COUNTS[part], 100 + i) for i, part in enumerate(COUNTS)}
    trained, runs = run_trials(nets, data, seeds=seeds, epochs=epochs, batch=BATCH, rate=RATE, say=say)
    found = summarise(trained, runs, (FRAMES, SIDE, SIDE))
    ours = [name for name in found if name.startswith("adaptive")]
    comparisons = compare(found, ours, [name for name in found if name.startswith("plain")])
    for control in [name for name in found if name.startswith("squares")]:
        if (name := control.replace("squares", "adaptive hybrid")) in found:
            rival = {"rival": control, **gain_over(found[name], found[control])}
            comparisons[f"{name} against {control}"] = rival
    result = {"name": "motion", "epochs": epochs, "counts": COUNTS, "nets": found, "comparisons": comparisons}
    return write_result(out, result)
