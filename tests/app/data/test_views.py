import pytest
import torch

from flexkern.app.data import Task, flatten_pixels, noise_pad, permute_pixels, standardise

X = torch.arange(4 * 3 * 5 * 2, dtype=torch.float32).view(4, 3, 5, 2)
Y = torch.tensor([0, 1, 0, 1])
TASK = Task("toy", X, Y, X[:2], Y[:2], ("a", "b"), extras={"kept": torch.ones(1)})
SERIES = Task("series", X.flatten(2), Y, X[:2].flatten(2), Y[:2], ("a", "b"))


def test_flat_pixels_are_read_row_by_row():
    task = flatten_pixels(TASK)
    assert (task.name, task.channels, task.shape) == ("stoy", 3, (10,))
    for row in range(5):
        for column in range(2):
            assert torch.equal(task.x_train[:, :, 2 * row + column], X[:, :, row, column])


def test_permutation_is_fixed_kept_and_the_same_for_all():
    task, again = permute_pixels(TASK), permute_pixels(TASK)
    order = task.extras["permutation"]
    assert (task.name, "kept" in task.extras) == ("ptoy", True)
    assert order.sort().values.tolist() == list(range(10))
    assert order.tolist() != list(range(10))
    assert torch.equal(task.x_train, X.flatten(2)[..., order])
    assert torch.equal(task.x_test, again.x_test)
    assert not torch.equal(permute_pixels(TASK, seed=1).x_test, task.x_test)


def test_a_stored_permutation_gives_the_same_view():
    stored = permute_pixels(TASK, seed=7)
    assert torch.equal(permute_pixels(TASK, stored.extras["permutation"]).x_train, stored.x_train)


@pytest.mark.parametrize("order", [torch.arange(9), torch.zeros(10, dtype=torch.int64), torch.arange(1, 11)])
def test_a_wrong_permutation_is_refused(order):
    with pytest.raises(ValueError, match=r"`permutation` must be int64 and have each of 0\.\.9 once"):
        permute_pixels(TASK, order)


def test_noise_padding_is_rows_then_one_noise_for_all():
    task = noise_pad(TASK, length=1000)
    assert (task.name, task.channels, task.shape) == ("nptoy", 6, (1000,))
    batch = task.batch_transform(task.x_train)
    assert batch.shape == (4, 6, 1000)
    for row in range(5):
        assert torch.equal(batch[:, :, row], X[:, :, row, :].flatten(1))
    noise = batch[..., 5:]
    assert torch.equal(noise[0], noise[3])
    assert torch.equal(noise[0], task.batch_transform.noise)
    assert abs(noise[0].mean()) < 0.05
    assert abs(noise[0].std() - 1) < 0.05
    assert torch.equal(noise_pad(TASK, length=1000).batch_transform.noise, noise[0])
    assert torch.equal(noise_pad(TASK, noise[0], length=1000).batch_transform.noise, noise[0])


def test_standardise_leaves_the_noise_at_unit_scale():
    plain = noise_pad(TASK, length=20)
    task = standardise(plain)
    assert torch.equal(task.batch_transform.noise, plain.batch_transform.noise)
    assert task.batch_transform(task.x_train).shape == (4, 6, 20)
    assert torch.equal(task.batch_transform(task.x_train)[..., 5:], plain.batch_transform(plain.x_train)[..., 5:])


def test_wrong_noise_padding_is_refused():
    with pytest.raises(ValueError, match="`length` must be more than the 5 rows of an image, got 5"):
        noise_pad(TASK, length=5)
    with pytest.raises(ValueError, match=r"`noise` must be \(6, 15\), got \(6, 16\)"):
        noise_pad(TASK, torch.zeros(6, 16), length=20)


@pytest.mark.parametrize("view", [flatten_pixels, permute_pixels, noise_pad])
def test_views_want_images(view):
    with pytest.raises(ValueError, match=r"task 'series' must have images \(N, C, H, W\), got \(4, 3, 10\)"):
        view(SERIES)


def test_stored_noise_replaces_the_noise_of_the_view():
    transform = noise_pad(TASK, length=8, seed=1).batch_transform
    stored = {"suffix": torch.ones(6, 3), "mean": torch.zeros(6)}
    assert transform.state() == {"suffix": transform.noise}
    assert transform.with_state(stored).noise is stored["suffix"]
    assert transform.with_state({}) is transform


def test_noise_needs_series_of_its_channels():
    transform = noise_pad(TASK, length=8).batch_transform
    with pytest.raises(ValueError, match=r"`x` must be series \(B, 6, T\), as many channels .* got \(4, 3, 10\)"):
        transform(SERIES.x_train)
