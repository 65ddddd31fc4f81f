"""CondConv2d and DynamicConv2d against experts that are mixed first, per sample, and convolved in loops."""

import math

import pytest
import torch

from contracts.baseline import BaselineContract, Geometry, loop_conv
from experiments.baselines import CondConv2d, DynamicConv2d
from tolerances import assert_matches


def mixed(parameter, attention):
    """sum_i a_i of (groups, experts, out / groups, ...), in the order of torch's output channels."""
    groups, experts, per_group = parameter.shape[:3]
    rows = [
        sum(attention[i] * parameter[g, i, o] for i in range(experts)) for g in range(groups) for o in range(per_group)
    ]
    return torch.stack(rows)


def linear(layer, values):
    """A torch.nn.Linear, one number at a time."""
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [sum(w * v for w, v in zip(row, values, strict=True)) + b for row, b in rows]


class MixtureContract(BaselineContract):
    def shares(self, layer, means):
        """The attention of one sample, a list of numbers."""
        raise NotImplementedError

    def oracle(self, layer, x, given):
        outputs = []
        for sample in x:
            attention = self.shares(layer, [channel.sum().item() / channel.numel() for channel in sample])
            bias = None if layer.bias is None else mixed(layer.bias, attention)
            outputs.append(loop_conv(sample, mixed(layer.weight, attention), bias, Geometry.of(given)))
        return torch.stack(outputs)

    def check_graph(self, program):
        """One convolution, whose weight does not depend on the input."""
        called = [node for node in program.graph.nodes if node.op == "call_function"]
        (convolution,) = [node for node in called if "conv" in str(node.target)]
        seen, waiting = set(), [convolution.args[1]]
        while waiting:
            node = waiting.pop()
            seen.add(node.name)
            waiting.extend(node.all_input_nodes)
        assert not seen & set(program.graph_signature.user_inputs)

    def test_experts_must_be_positive(self):
        with pytest.raises(ValueError, match="`experts` must be positive, got 0"):
            self.make(experts=0)

    def test_groups_must_divide(self):
        with pytest.raises(ValueError, match="`out_channels` must be divisible by `groups`, got 6 and 4"):
            self.make(groups=4)

    def test_repr_shows_the_experts(self):
        assert "experts=3" in repr(self.make())


class TestCondConv2d(MixtureContract):
    cls, options = CondConv2d, {"experts": 3}

    def shares(self, layer, means):
        return [1 / (1 + math.exp(-z)) for z in linear(layer.router, means)]


class TestDynamicConv2d(MixtureContract):
    cls, options = DynamicConv2d, {"experts": 3, "reduction": 2, "temperature": 0.5}

    def shares(self, layer, means):
        hidden = [max(z, 0) for z in linear(layer.router[0], means)]
        scores = [math.exp(z / layer.temperature) for z in linear(layer.router[2], hidden)]
        return [score / sum(scores) for score in scores]

    def test_temperature_is_set_by_the_user(self):
        layer, x = self.make(temperature=30.0), self.input()
        assert DynamicConv2d(4, 4, 3).temperature == 30
        flat = layer.attention(x)
        layer.temperature = 0.01
        assert "temperature=0.01" in repr(layer)
        sharp = layer.attention(x)
        assert (flat - 1 / 3).abs().max() < 0.1 < (sharp - 1 / 3).abs().max()
        assert_matches(sharp.sum(1), torch.ones(2, dtype=torch.float64))
        assert_matches(layer(x), self.oracle(layer, x, {}))

    @pytest.mark.parametrize(("name", "value"), [("reduction", 0), ("temperature", 0.0)])
    def test_options_must_be_positive(self, name, value):
        with pytest.raises(ValueError, match=f"`{name}` must be positive, got {value}"):
            self.make(**{name: value})

    def test_at_least_one_hidden_unit(self):
        assert DynamicConv2d(3, 4, 3, reduction=16).router[0].out_features == 1
