"""The training loop without Lightning, against the same steps written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.app.training.accuracy import count_correct
from flexkern.app.training.batches import Batches
from flexkern.app.training.loop import train_epochs

X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def build() -> tuple[nn.Linear, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters(), 0.1)
    return model, optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=9)


def weight_norm(model: nn.Module) -> Tensor:
    return model.weight.square().sum()  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("penalty", [None, weight_norm])
def test_the_loop_makes_one_step_per_batch_in_the_order_of_its_epoch(penalty) -> None:
    model, optimiser, schedule = build()
    train_epochs(model, Batches(X, Y, 4, seed=5), optimiser, schedule, epochs=3, penalty=penalty)
    expected, optimiser, schedule = build()
    batches = Batches(X, Y, 4, seed=5)
    for epoch in range(3):
        batches.set_epoch(epoch)
        for x, y in batches:
            optimiser.zero_grad()
            loss = F.cross_entropy(expected(x), y)
            if penalty is not None:
                loss = loss + penalty(expected)
            loss.backward()
            optimiser.step()
            schedule.step()
    assert torch.equal(model.weight, expected.weight)
    assert torch.equal(model.bias, expected.bias)


def test_the_loss_can_be_replaced() -> None:
    model, optimiser, schedule = build()
    targets = torch.zeros(10, 2)
    before = F.mse_loss(model(X), targets)
    train_epochs(model, Batches(X, targets, 4, seed=0), optimiser, schedule, epochs=3, loss=F.mse_loss)
    assert F.mse_loss(model(X), targets) < before


def test_correct_samples_are_counted_after_the_transform_of_their_batch() -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(2, 2, bias=False)).train()
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(2))  # type: ignore[operator]
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    assert count_correct(model, x, labels, batch_size=2) == 2
    assert count_correct(model, x, labels, transform=lambda batch: batch.flip(1)) == 1
