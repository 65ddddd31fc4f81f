"""Learned sizes as integers: fresh, cheap, and fixable."""

import copy
import gc
import importlib
import pickle

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from flexkern import (
    CKConv2d,
    FlexConv1d,
    FlexConv2d,
    GaussianWindow,
    MAGNet,
    SeparableFlexConv2d,
    create_model,
    freeze_sizes,
    size_parameters,
    sizes,
    unfreeze_sizes,
)
from flexkern.engines import autograd
from flexkern.layers import base
from flexkern.windows.window import live_windows

module = importlib.import_module("flexkern.windows.sizes")  # the package's attribute of that name is the function
SMALL = MAGNet(hidden=4, layers=1)


@pytest.fixture
def reads(monkeypatch):
    """Counts the host syncs."""
    calls, original = [], module._read_to_host
    monkeypatch.setattr(module, "_read_to_host", lambda reach: calls.append(len(reach)) or original(reach))
    return calls


def net(**options):
    options = {"in_channels": 1, "classes": 3, "kernel_size": 17, "width": 4, "factors": ((1, 2), (1.5, 1)), **options}
    return create_model("flexnet", generator=MAGNet(hidden=4, layers=1), **options)


def layer_1d(**options):
    return FlexConv1d(1, 1, 65, padding="same", generator=SMALL, **options)


def train(model, steps, make=lambda parameters: torch.optim.Adam(parameters, lr=0.05)):
    optimiser, x = make(list(model.parameters())), torch.randn(2, 1, 8, 8)
    for _ in range(steps):
        optimiser.zero_grad()
        model(x).square().sum().backward()
        optimiser.step()


class TestHostSyncs:
    def test_at_most_one_per_optimiser_step_for_the_whole_model(self, reads):
        model = net()
        assert len([m for m in model.modules() if isinstance(m, GaussianWindow)]) == 7
        train(model, 5)
        assert len(reads) <= 5

    def test_one_for_two_models_in_one_step(self, reads):
        nets = [net(), net()]
        for model in nets:
            model(torch.randn(1, 1, 8, 8))
        assert len(reads) <= 1

    def test_none_while_nothing_changes(self, reads):
        model = net().eval()
        model(torch.randn(1, 1, 8, 8))
        del reads[:]
        for _ in range(3):
            model(torch.randn(2, 1, 8, 8))
            sizes(model)
            repr(model)
        assert reads == []

    def test_none_when_frozen(self, reads):
        model = freeze_sizes(net())
        del reads[:]
        train(model, 3)
        assert reads == []

    def test_none_without_a_window(self, reads):
        CKConv2d(1, 1, 5, generator=SMALL)(torch.randn(1, 1, 8, 8))
        assert reads == []

    @pytest.mark.parametrize("window", [GaussianWindow(), GaussianWindow(learn_width=(True, False), per_channel=True)])
    @pytest.mark.parametrize("generator", ["magnet", "siren", "table", "points"])
    def test_forward_moves_no_values_between_host_and_device(self, window, generator, monkeypatch):
        """On a GPU, `torch.tensor(list, device=...)` waits for the device, as `.item()` does."""
        # Only on the CPU are values compared, and weights looked at, which are the host's already.
        monkeypatch.setattr(module, "_version", lambda tensor: (tensor.data_ptr(), tensor._version))
        for user in (autograd, base):
            monkeypatch.setattr(user, "check_finite", lambda weight: None)

        class Watch(TorchFunctionMode):
            seen: list[str]

            def __torch_function__(self, func, types, args=(), kwargs=None):
                name = getattr(func, "__name__", str(func))
                if name in (
                    "tensor",
                    "as_tensor",
                    "new_tensor",
                    "item",
                    "tolist",
                    "__bool__",
                    "__float__",
                    "__int__",
                    "nonzero",
                    "cpu",
                ):
                    self.seen.append(name)
                return func(*args, **(kwargs or {}))

        layer = FlexConv2d(2, 2, 9, padding="same", generator=generator, window=window)
        x = torch.randn(1, 2, 8, 8)
        layer(x)
        with Watch() as watch:
            watch.seen = []
            layer(x)
        assert watch.seen == []


class TestFreshness:
    @pytest.mark.parametrize(
        "make",
        [
            lambda p: torch.optim.SGD(p, lr=0.1),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True),
            lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
            lambda p: torch.optim.Adam(p, lr=0.1, foreach=False),
            lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
            lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
            lambda p: torch.optim.RMSprop(p, lr=0.1),
        ],
    )
    def test_after_a_step_of_any_optimiser(self, make):
        layer = layer_1d()
        before = layer.size
        optimiser = make([layer.window.log_width])
        for _ in range(10):
            optimiser.zero_grad()
            (-layer.window.width.sum() * 10).backward()
            optimiser.step()
        (start, stop) = layer.window.crop(layer.window.extent().tolist())[0]
        assert layer.size == (stop - start,)
        assert layer.size > before

    @pytest.mark.parametrize(
        "change",
        [
            lambda layer, wide: layer.load_state_dict(wide.state_dict()),
            lambda layer, wide: layer.load_state_dict(wide.state_dict(), assign=True),
            lambda layer, wide: layer.window.set_width(wide.window.width.detach()),
            lambda layer, wide: layer.window.log_width.detach().copy_(wide.window.log_width.detach()),
            lambda layer, wide: setattr(layer.window, "log_width", wide.window.log_width),
            lambda layer, wide: setattr(layer, "window", wide.window),
            lambda layer, wide: setattr(layer.window.log_width, "data", wide.window.log_width.data.clone()),
            lambda layer, wide: nn.utils.vector_to_parameters(
                nn.utils.parameters_to_vector(wide.parameters()).detach(), layer.parameters()
            ),
            lambda layer, wide: layer.window.log_width.data.copy_(wide.window.log_width.data),
        ],
        ids=["load", "assign", "set_width", "in_place", "parameter", "window", "data", "vector", "data_in_place"],
    )
    def test_after_any_edit(self, change):
        layer, wide = layer_1d(), layer_1d(window=GaussianWindow(width=0.4))
        assert layer.size < wide.size
        change(layer, wide)
        assert layer.size == wide.size

    def test_after_reset(self):
        layer = layer_1d()
        initial = layer.size
        layer.window.set_width(torch.tensor([0.4]))
        assert layer.size > initial
        layer.reset_parameters()
        assert layer.size == initial

    def test_after_the_centre_moves(self):
        layer = layer_1d()
        before = layer.size
        with torch.no_grad():
            layer.window.centre.add_(0.2)
        assert layer.size > before

    def test_after_conversion_and_back(self):
        layer = layer_1d(window=GaussianWindow(width=0.3))
        size = layer.size
        for dtype in (torch.float64, torch.float32, torch.float64):
            layer.to(dtype)
            assert layer.size == size
            layer.window.set_width(torch.tensor([0.5], dtype=dtype))
            wide = layer.size
            layer.window.set_width(torch.tensor([0.3], dtype=dtype))
            assert wide > layer.size == size

    def test_in_inference_mode(self):
        with torch.inference_mode():
            layer = layer_1d()
            before = layer.size
            layer.window.set_width(torch.tensor([0.4]))
            assert layer.size > before

    def test_of_copies(self):
        layer = layer_1d()
        assert layer.size
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            twin.window.set_width(torch.tensor([0.4]))
            assert twin.size > layer.size

    def test_of_a_functional_call(self):
        layer, wide = layer_1d(), layer_1d(window=GaussianWindow(width=0.4))
        x = torch.randn(1, 1, 30)
        before = layer.size
        y = torch.func.functional_call(layer, dict(wide.named_parameters()), (x,))
        torch.testing.assert_close(y, wide(x))
        assert layer.size == before

    def test_another_threshold_is_another_size(self):
        layer = layer_1d()
        before = layer.size
        layer.window.threshold = 0.5
        assert layer.size < before

    def test_dead_windows_are_forgotten(self):
        layer = layer_1d()
        window_id = id(layer.window)
        assert layer.size
        assert window_id in [id(w) for w in live_windows()]
        del layer
        gc.collect()
        assert window_id not in [id(w) for w in live_windows()]


class TestFreezing:
    def test_integers_stay_and_size_parameters_get_no_gradient(self):
        model = net()
        before = sizes(model)
        assert freeze_sizes(model) is model
        train(model, 2)
        assert sizes(model) == before
        assert all(p.grad is None for p in size_parameters(model))
        with torch.no_grad():
            for parameter in size_parameters(model):
                parameter.add_(1.0)
        assert sizes(model) == before

    def test_unfreezing_brings_back_the_learned_size(self):
        layer = freeze_sizes(layer_1d())
        before = layer.size
        layer.window.set_width(torch.tensor([0.4]))
        assert layer.size == before
        assert unfreeze_sizes(layer) is layer
        assert layer.size > before
        layer(torch.randn(1, 1, 30)).sum().backward()
        assert layer.window.log_width.grad is not None

    def test_unfreezing_respects_what_was_never_learned(self):
        layer = layer_1d(window=GaussianWindow(learn_centre=False))
        unfreeze_sizes(freeze_sizes(layer))
        assert not layer.window.centre.requires_grad
        assert [p.requires_grad for p in size_parameters(layer)] == [True]

    def test_frozen_model_takes_the_sizes_of_a_state_it_loads(self):
        layer, wide = freeze_sizes(layer_1d()), layer_1d(window=GaussianWindow(width=0.4))
        layer.load_state_dict(wide.state_dict())
        assert layer.size == wide.size
        x = torch.randn(1, 1, 30)
        torch.testing.assert_close(layer(x), wide(x))

    def test_frozen_size_survives_copies(self):
        layer = freeze_sizes(layer_1d())
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            twin.window.set_width(torch.tensor([0.4]))
            assert twin.size == layer.size

    def test_outputs_do_not_change(self):
        layer, x = layer_1d(), torch.randn(1, 1, 30)
        y = layer(x)
        torch.testing.assert_close(freeze_sizes(layer)(x), y, rtol=0, atol=0)


class TestLists:
    def test_sizes_by_name(self):
        model = nn.ModuleDict(
            {"a": FlexConv2d(1, 1, 33), "b": SeparableFlexConv2d(1, 1, (17, 9)), "c": CKConv2d(1, 1, 5)}
        )
        found = sizes(model)
        assert found["a"] == (5, 5) == model["a"].size
        assert found["b.depthwise"] == model["b"].size
        assert set(found) == {"a", "b.depthwise"}
        assert sizes(model["a"]) == {"": (5, 5)}

    def test_size_parameters_are_widths_and_centres_alone(self):
        model = net()
        ours = {id(p) for p in size_parameters(model)}
        named = {id(p) for name, p in model.named_parameters() if name.split(".")[-2] == "window"}
        assert ours == named
        assert len(ours) == 14
