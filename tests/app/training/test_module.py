import pytest
import torch
from torch import nn

from flexkern import MAGNet, alias_penalty, size_budget
from flexkern.app.training.batches import Batches, derive_seed
from flexkern.app.training.module import Classifier, learning_rate_factor, parameter_groups
from flexkern.app.training.recipe import OptimiserConfig
from flexkern.layers import FlexConv2d
from flexkern.windows import size_parameters


def small_net() -> nn.Module:
    return nn.Sequential(FlexConv2d(1, 4, 7, padding="same"), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(256, 3))


def test_batches_cover_all_samples_once_and_differ_by_one_in_size() -> None:
    x = torch.arange(23.0)
    batches = Batches(x, x, 5, seed=0)
    lengths = [len(y) for _, y in batches]
    assert len(batches) == len(lengths) == 5
    assert max(lengths) <= 5
    assert max(lengths) - min(lengths) <= 1
    assert sorted(torch.cat([y for _, y in batches]).tolist()) == x.tolist()


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    x = torch.arange(50.0)

    def order(seed: int, epoch: int) -> list[float]:
        torch.randn(epoch + 1)  # Must not change the order.
        batches = Batches(x, x, 8, seed=seed)
        batches.set_epoch(epoch)
        return torch.cat([y for _, y in batches]).tolist()

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_batches_refuse_unequal_or_no_samples() -> None:
    with pytest.raises(ValueError, match="same number"):
        Batches(torch.zeros(3), torch.zeros(2), 1)
    with pytest.raises(ValueError, match="same number"):
        Batches(torch.zeros(0), torch.zeros(0), 1)


def test_derived_seeds_are_stable() -> None:
    assert derive_seed(0, "order", 1) == 2002067703672271585
    assert derive_seed(0, "order", 1) != derive_seed(0, "order", 11)


def test_the_schedule_rises_then_falls_to_its_floor() -> None:
    factors = [learning_rate_factor(step, warmup=10, total=100, floor=0.1) for step in range(100)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert max(factors) == 1
    assert factors[-1] == pytest.approx(0.1)
    assert learning_rate_factor(0, warmup=0, total=1) == 1


def test_every_parameter_is_in_one_group_and_sizes_have_their_own() -> None:
    model = small_net()
    groups = {
        group["name"]: group for group in parameter_groups(model, OptimiserConfig(lr=0.1, size_lr=0.3, weight_decay=1))
    }
    ids = [id(parameter) for group in groups.values() for parameter in group["params"]]
    assert sorted(ids) == sorted(id(parameter) for parameter in model.parameters())
    assert {id(parameter) for parameter in groups["sizes"]["params"]} == {id(p) for p in size_parameters(model)}
    assert (groups["sizes"]["lr"], groups["sizes"]["weight_decay"]) == (0.3, 0)
    assert (groups["decay"]["lr"], groups["decay"]["weight_decay"]) == (0.1, 1)
    assert all(parameter.ndim > 1 for parameter in groups["decay"]["params"])
    assert groups["no_decay"]["weight_decay"] == 0


def test_the_average_is_what_is_evaluated() -> None:
    model = small_net()
    module = Classifier(model, OptimiserConfig(ema=0.5), 3)
    assert module.evaluated is not model
    assert Classifier(model, OptimiserConfig(), 3).evaluated is model
    module.on_train_batch_end()
    with torch.no_grad():
        model[3].bias += 1  # type: ignore[operator, union-attr]
    before = module.evaluated[3].bias.clone()  # type: ignore[index, union-attr]
    module.on_train_batch_end()
    after = module.evaluated[3].bias  # type: ignore[index, union-attr]
    torch.testing.assert_close(after, before + 0.5)


def test_penalties_belong_to_the_loss() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(FlexConv2d(1, 4, 7, padding="same", generator=MAGNet(input_scale=25.6)), nn.Flatten())
    module = Classifier(model, OptimiserConfig(alias_penalty=0.1, size_budget=100.0), 256)
    penalties = module._penalties(torch.zeros(1, 1, 8, 8))
    assert penalties["alias"].item() == pytest.approx(0.1 * alias_penalty(model).item())
    assert penalties["alias"] > 0
    assert penalties["size_budget"].item() == pytest.approx(size_budget(model, 100.0, {"0": 64}).item())
    assert penalties["size_budget"] > 0
    assert not Classifier(model, OptimiserConfig(), 256)._penalties(torch.zeros(1, 1, 8, 8))


def test_a_penalty_that_the_model_cannot_have_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no layer whose bandwidth is known"):
        Classifier(nn.Linear(1, 1), OptimiserConfig(alias_penalty=0.1), 3)
    with pytest.raises(ValueError, match=r"`optimiser\.size_budget` needs a model with layers whose size is learned"):
        Classifier(nn.Linear(1, 1), OptimiserConfig(size_budget=1e6), 3)
