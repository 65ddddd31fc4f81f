import pytest
import torch

from flexkern.app.data import (
    AUGMENTATIONS,
    build_augmentation,
    random_flip,
    random_noise,
    random_roll,
    random_rotate,
    random_scale_noise,
    random_shift,
    random_zoom,
)

EXAMPLES = {
    "shift": "shift:2",
    "flip": "flip",
    "roll": "roll:0.25",
    "scale": "scale:0.1",
    "noise": "noise:0.1",
    "rotate": "rotate:20",
    "zoom": "zoom:0.2",
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(*shape):
    return torch.rand(*shape, generator=generator(9))


def shifted(image, rows, columns):
    """The slow twin: pads (C, H, W) with its border and crops."""
    height, width = image.shape[1:]
    wide = torch.nn.functional.pad(image, (9, 9, 9, 9), mode="replicate")
    return wide[:, 9 + rows : 9 + rows + height, 9 + columns : 9 + columns + width]


def test_shift_is_pad_and_crop_with_its_own_offset_for_each_sample():
    x = batch(200, 2, 7, 6)
    out = random_shift(x, 2, generator())
    all_offsets = []
    for image, moved in zip(x, out, strict=True):
        offsets = [(r, c) for r in range(-2, 3) for c in range(-2, 3) if torch.equal(shifted(image, r, c), moved)]
        assert len(offsets) == 1
        all_offsets += offsets
    assert len(set(all_offsets)) == 25  # every offset occurs


def test_shift_of_series_and_by_nothing():
    x = batch(50, 3, 10)
    out = random_shift(x, 1, generator())
    kinds = [torch.equal(out[i], x[i]) for i in range(50)]
    assert any(kinds)
    assert not all(kinds)
    assert torch.equal(random_shift(x, 0, generator()), x)


def test_shift_beyond_the_image_is_allowed():
    assert random_shift(batch(8, 1, 3, 3), 5, generator()).shape == (8, 1, 3, 3)


def test_flip_mirrors_about_half():
    x = batch(400, 2, 3, 5)
    out = random_flip(x, generator())
    same = (out == x).flatten(1).all(dim=1)
    mirrored = (out == x.flip(-1)).flatten(1).all(dim=1)
    assert torch.equal(same, ~mirrored)
    assert 160 <= int(mirrored.sum()) <= 240


def test_roll_turns_each_series_in_a_circle():
    x = batch(100, 2, 12)
    out = random_roll(x, 0.25, generator())
    all_steps = []
    for series, rolled in zip(x, out, strict=True):
        steps = [step for step in range(-6, 6) if torch.equal(series.roll(step, -1), rolled)]
        assert len(steps) == 1
        all_steps += steps
    assert set(all_steps) == set(range(-3, 4))


def test_noise_is_added_to_every_value_on_its_own():
    x = batch(20, 2, 500)
    added = random_noise(x, 0.3, generator()) - x
    assert abs(added.std().item() - 0.3) < 0.01
    assert abs(added.mean().item()) < 0.01
    assert torch.equal(random_noise(x, 0.0, generator()), x)


def test_scale_noise_has_one_factor_a_sample():
    x = batch(2000, 2, 4, 4)
    factors = random_scale_noise(x, 0.1, generator()) / x
    first = factors[:, :1, :1, :1]
    torch.testing.assert_close(factors, first.expand_as(factors))
    assert abs(first.mean().item() - 1) < 0.01
    assert abs(first.std().item() - 0.1) < 0.01


def test_rotation_and_zoom_keep_the_middle_and_move_the_rest():
    images = torch.zeros(300, 1, 9, 9)
    images[:, :, 4] = 1  # a level bar through the middle
    turned = random_rotate(images, 90, generator())
    assert torch.allclose(turned[:, :, 4, 4], torch.ones(300, 1), atol=1e-4)
    weight = torch.linspace(-4, 4, 9)
    mass = turned.sum((1, 2, 3))
    level = (turned * weight.square()).sum((1, 2, 3)) / mass  # how far it reaches along the rows
    assert level.min() < 1
    assert level.max() > 5
    ramp = weight.view(1, 1, 9, 1).expand(300, 1, 9, 9)
    slopes = random_zoom(ramp, 0.5, generator())[:, 0, 5, 4]  # one pixel below the middle
    assert 1 / 1.5 <= slopes.min() < 0.7
    assert 1.9 < slopes.max() <= 2.0001
    with pytest.raises(ValueError, match=r"rotation and zoom are for images \(B, C, H, W\), got \(2, 1, 9\)"):
        random_rotate(torch.zeros(2, 1, 9), 5)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_each_repeats_with_its_generator_and_leaves_its_input(name):
    augment = build_augmentation([EXAMPLES[name]])
    x = batch(32, 3, 8, 8)
    kept = x.clone()
    first, again, other = (augment(x, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x, kept)
    assert (first.shape, first.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_a_generator_leaves_the_global_one_alone(name):
    state = torch.get_rng_state()
    build_augmentation([EXAMPLES[name]])(batch(4, 1, 8, 8), generator())
    assert torch.equal(torch.get_rng_state(), state)


def test_steps_are_applied_in_their_order():
    x = batch(16, 1, 6, 6)
    draws = generator()
    expected = random_flip(random_shift(x, 2, draws), draws)
    assert torch.equal(build_augmentation(["shift:2", "flip"])(x, generator()), expected)
    assert build_augmentation([])(x) is x


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turn:3", "an augmentation must be one of shift, flip, roll, scale, noise, rotate, zoom, got 'turn:3'"),
        ("shift", "an amount is missing: write `shift:int`, got 'shift'"),
        ("shift:1.5", "write `shift:int`, got 'shift:1.5'"),
        ("flip:1", "'flip' takes no amount, got 'flip:1'"),
        ("shift:-1", "`pixels` must be a whole number, 0 or more, got -1"),
        ("roll:2", r"`max_fraction` must be in \[0, 1\], got 2.0"),
        ("roll:nan", r"`max_fraction` must be in \[0, 1\], got nan"),
        ("scale:-0.1", "`std` must be 0 or more and finite, got -0.1"),
        ("rotate:181", r"`degrees` must be in \[0, 180\], got 181"),
        ("zoom:1", r"`fraction` must be in \[0, 1\), got 1"),
        ("noise:inf", "`std` must be 0 or more and finite, got inf"),
    ],
)
def test_wrong_descriptions_are_refused_when_built(text, message):
    with pytest.raises(ValueError, match=message):
        build_augmentation([text])
