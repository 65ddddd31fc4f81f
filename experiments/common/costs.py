"""What models cost: counted, timed in turns, and weighed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from flexkern.analysis import count_cost
from flexkern.app.measure.isolated import in_own_process
from flexkern.app.measure.memory import peak_memory
from flexkern.app.measure.timing import Timing, interleave, time_runs
from flexkern.models import create_model

ROUNDS, STEP_ROUNDS = 15, 5
STEP_BATCH, MEMORY_BATCH = 32, 64


def measure_costs(models: Mapping[str, tuple[str, dict[str, Any]]], shape: tuple[int, ...]) -> dict[str, Any]:
    """Per model: parameters, MACs and activations; seconds of one sample and of a training step; peak memory.

    Args:
        models: a name of :func:`flexkern.models.create_model` and its options, by any name.
        shape: of one sample (C, *S).

    Returns:
        By the same name: the counts of :func:`flexkern.analysis.count_cost`, ``latency`` (median seconds of one
        sample) and its interquartile range ``latency_iqr``, ``step`` (seconds of forward and backward passes of
        32 samples), ``memory`` (bytes that a forward pass of 64 samples needs at its peak; None where that cannot be
        measured). Timed in turns.
    """
    built = {name: create_model(model, in_channels=shape[0], **options) for name, (model, options) in models.items()}
    latency = _time_in_turns({name: _prediction(net, shape) for name, net in built.items()}, ROUNDS)
    step = _time_in_turns({name: _step(net, shape) for name, net in built.items()}, STEP_ROUNDS)
    return {
        name: {
            **dataclasses.asdict(count_cost(net.eval(), shape)),
            "latency": latency[name].seconds,
            "latency_iqr": latency[name].iqr,
            "step": step[name].seconds,
            "memory": in_own_process(_memory_here, *models[name], shape),
        }
        for name, net in built.items()
    }


def _time_in_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    for call in calls.values():
        call()
    return interleave(dict(calls), {name: time_runs(call) for name, call in calls.items()}, rounds, give_up=False)


def _prediction(net: nn.Module, shape: tuple[int, ...]) -> Callable[[], Any]:
    net.eval()
    sample = torch.randn(1, *shape)

    @torch.inference_mode()
    def run() -> None:
        net(sample)

    return run


def _step(net: nn.Module, shape: tuple[int, ...]) -> Callable[[], Any]:
    net.train()
    samples, labels = torch.randn(STEP_BATCH, *shape), torch.zeros(STEP_BATCH, dtype=torch.long)

    def run() -> None:
        net.zero_grad()
        F.cross_entropy(net(samples), labels).backward()

    return run


def _memory_here(model: str, options: dict[str, Any], shape: tuple[int, ...]) -> int | None:
    """Bytes of one forward pass of a batch, beyond the model and the samples."""
    torch.set_num_threads(1)
    net = create_model(model, in_channels=shape[0], **options).eval()
    with torch.inference_mode():
        net(torch.randn(1, *shape))
        samples = torch.randn(MEMORY_BATCH, *shape)
        return peak_memory(lambda: net(samples))[1]
