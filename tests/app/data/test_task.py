import re
from dataclasses import replace

import pytest
import torch

from flexkern.app.data import NoisePadding, Task, split_task, standardise

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.tensor([0, 1, 1, 0, 1, 1])


def toy(samples=60, shape=(3, 5, 4), classes=3, **others):
    x = torch.randn(samples, *shape, generator=GENERATOR) * 3 + 2
    y = torch.arange(samples) % classes
    return Task("toy", x, y, x[:6], y[:6], tuple("abcdefgh"[:classes]), **others)


def padded(lengths=(4, 2, 3, 4, 1, 2)):
    lengths = torch.tensor(lengths)
    x = torch.rand(len(lengths), 2, 4, generator=GENERATOR) + 1
    x = x * (torch.arange(4) < lengths[:, None]).unsqueeze(1)
    return Task("padded", x, LABELS, x[:2], LABELS[:2], ("a", "b"), lengths, lengths[:2])


def test_properties_and_repr_state_the_data():
    task = toy()
    assert (task.channels, task.shape, task.classes) == (3, (5, 4), 3)
    assert repr(task) == "Task('toy': 60 train + 6 test samples of (3, 5, 4), 3 classes)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": torch.zeros(60, 3, 5, 4, dtype=torch.float64)}, "`x_train` must be float32 (N, C, *S)"),
        ({"x_test": torch.zeros(6, 3)}, "`x_test` must be float32 (N, C, *S)"),
        ({"x_test": torch.zeros(0, 3, 5, 4)}, "at least one sample, got float32 (0, 3, 5, 4)"),
        ({"x_test": torch.zeros(6, 3, 4, 4)}, "must have samples of one shape, got (3, 5, 4) and (3, 4, 4)"),
        (
            {"y_train": torch.zeros(60)},
            "`y_train` must be int64 (60,), one label per sample, got float32 (60,)",
        ),
        ({"y_test": torch.zeros(5, dtype=torch.int64)}, "`y_test` must be int64 (6,)"),
        ({"y_test": torch.tensor([0, 1, 2, 0, 3, 1])}, "`y_test` must lie in 0..2, got 3 at sample 4."),
        ({"y_test": torch.tensor([0, 1, -1, 0, 0, 1])}, "`y_test` must lie in 0..2, got -1 at sample 2."),
        ({"class_names": ()}, "`class_names` must be different names, at least one"),
        ({"class_names": ("a", "b", "a")}, "`class_names` must be different names"),
        (
            {"lengths_test": torch.ones(6, dtype=torch.int64)},
            "`lengths_test` must be int64 (6,) for series",
        ),
        (
            {"batch_transform": NoisePadding(torch.zeros(3, 7))},
            "`x` must be series (B, 3, T), as many channels as the noise, got (1, 3, 5, 4)",
        ),
    ],
)
def test_wrong_arrays_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(toy(), **change)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused_with_their_sample(value):
    x = torch.zeros(6, 3, 5, 4)
    x[4, 1, 2, 3] = value
    with pytest.raises(ValueError, match="`x_test` must be finite, sample 4 has NaN or infinity"):
        replace(toy(), x_test=x)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ((4, 2, 3, 4, 1, 5), r"`lengths_train` must lie in 1..4, got 1..5\."),
        ((4, 2, 3, 4, 0, 2), r"`lengths_train` must lie in 1..4, got 0..4\."),
        ((4, 2, 2, 4, 1, 2), "series must be 0 beyond their length, sample 2 is not"),
    ],
)
def test_lengths_must_fit_the_series(lengths, message):
    with pytest.raises(ValueError, match=message):
        replace(padded(), lengths_train=torch.tensor(lengths))


def test_a_batch_transform_changes_batches_and_the_shape():
    task = toy(shape=(2, 4))
    noise = torch.randn(2, 3)
    padded_task = replace(task, batch_transform=NoisePadding(noise))
    batch = padded_task.batch_transform(task.x_train[:5])
    assert padded_task.shape == (7,)
    assert repr(padded_task) == "Task('toy': 60 train + 6 test samples of (2, 7), 3 classes)"
    assert batch.shape == (5, 2, 7)
    assert torch.equal(batch[..., :4], task.x_train[:5])
    assert torch.equal(batch[3, :, 4:], noise)


def test_without_a_batch_transform_nothing_changes():
    task = toy()
    assert task.batch_transform(task.x_train) is task.x_train
    assert task.batch_transform.state() == {}
    assert task.batch_transform.with_state({"suffix": torch.zeros(1)}) is task.batch_transform


def test_a_batch_transform_and_lengths_exclude_each_other():
    with pytest.raises(ValueError, match="`batch_transform` must not be combined with `lengths_train`"):
        replace(padded(), batch_transform=NoisePadding(torch.zeros(2, 3)))


def test_split_takes_its_share_of_every_class_and_leaves_the_test_set():
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 4 + [3])
    x = torch.arange(85.0).view(85, 1, 1)
    task = Task("uneven", x, y, x[:4], y[:4], tuple("abcd"))
    split = split_task(task, fraction=0.1, seed=3)
    # 10 % of 50, of 30, at least one of 4, and a single sample stays in training
    assert split.validation[1].bincount(minlength=4).tolist() == [5, 3, 1, 0]
    assert split.train[1].bincount(minlength=4).tolist() == [45, 27, 3, 1]
    assert torch.equal(torch.cat([split.train[0], split.validation[0]]).flatten().sort().values, x.flatten())
    for inputs, labels in (split.train, split.validation):
        assert torch.equal(labels, y[inputs.flatten().long()])
    assert split.test[0] is task.x_test
    assert split.lengths == {}


def test_split_trains_on_a_share_of_every_class():
    y = torch.tensor([0] * 50 + [1] * 30)
    x = torch.arange(80.0).view(80, 1, 1)
    task = Task("two", x, y, x[:4], y[:4], ("a", "b"))
    whole = split_task(task, 0.1, 3)
    third = split_task(task, 0.1, 3, train_share=1 / 3)
    assert torch.equal(whole.validation[0], third.validation[0])
    assert third.train[1].bincount().tolist() == [15, 9]
    assert set(third.train[0].flatten().tolist()) < set(whole.train[0].flatten().tolist())
    assert torch.equal(third.train[1], y[third.train[0].flatten().long()])


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_split_refuses_a_share_out_of_range(share):
    with pytest.raises(ValueError, match=f"`train_share` must be above 0 and at most 1, got {share}"):
        split_task(toy(), 0.2, train_share=share)


def test_split_depends_on_the_seed_alone():
    task = toy()
    first, again, other = (split_task(task, 0.2, seed).validation[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_split_keeps_lengths_beside_their_series():
    split = split_task(padded(), fraction=0.4)
    assert set(split.lengths) == {"train", "validation", "test"}
    for subset in ("train", "validation", "test"):
        x, _ = getattr(split, subset)
        valid = x.ne(0).all(dim=1).sum(dim=1)
        assert torch.equal(valid, split.lengths[subset])


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_split_refuses_a_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match="`fraction` must be between 0 and 1"):
        split_task(toy(), fraction)


def test_split_needs_a_class_with_two_samples():
    task = toy(samples=3)
    with pytest.raises(ValueError, match="some class must have two samples"):
        split_task(replace(task, x_test=task.x_train, y_test=task.y_train))


def test_standardise_measures_the_training_part_alone():
    task = toy()
    task = replace(task, x_test=task.x_test + 100)
    out = standardise(task)
    mean = task.x_train.double().mean(dim=(0, 2, 3)).float()
    std = task.x_train.double().std(dim=(0, 2, 3), correction=0).float()
    torch.testing.assert_close(out.extras["mean"], mean)
    torch.testing.assert_close(out.extras["std"], std)
    expected = (task.x_test - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(out.x_test, expected)
    torch.testing.assert_close(out.x_train.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert torch.equal(task.x_train.double().mean(dim=(0, 2, 3)).float(), mean)  # the input is not changed


def test_standardise_leaves_padding_out_and_at_zero():
    task = padded()
    out = standardise(task)
    valid = torch.cat([x[:, :n] for x, n in zip(task.x_train, task.lengths_train, strict=True)], dim=1)
    torch.testing.assert_close(out.extras["mean"], valid.mean(dim=1))
    torch.testing.assert_close(out.extras["std"], valid.std(dim=1, correction=0))
    assert out.x_train[1, :, 2:].eq(0).all()
    assert out.x_train[1, :, :2].ne(0).all()


def test_standardise_divides_a_constant_channel_by_one():
    x = torch.full((4, 1, 3), 0.3)
    task = Task("flat", x, LABELS[:4], x, LABELS[:4], ("a", "b"))
    out = standardise(task)
    assert out.extras["std"].item() == 1
    torch.testing.assert_close(out.x_train, torch.zeros_like(x), atol=1e-6, rtol=0)


def test_standardise_twice_is_refused():
    with pytest.raises(ValueError, match="'toy' is standardised already"):
        standardise(standardise(toy()))
