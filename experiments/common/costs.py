"""What networks cost: counted, timed in turns, and their memory measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from flexkern.analysis import count_cost
from flexkern.app.measure.exported import exported_call
from flexkern.app.measure.isolated import in_own_process
from flexkern.app.measure.memory import peak_memory
from flexkern.app.measure.timing import Timing, interleave, time_runs
from flexkern.models import create_model

ROUNDS, LATENCY_ROUNDS, STEP_ROUNDS = 15, 31, 5
STEP_BATCH, MEMORY_BATCH = 32, 64

Shape = tuple[int, ...]


def model_costs(models: Mapping[str, tuple[str, dict[str, Any]]], shape: Shape) -> dict[str, dict[str, Any]]:
    """Return what models by name cost in training and in prediction, in eager torch.

    Args:
        models: by any name, a name of :func:`flexkern.models.create_model` and its options.
        shape: of one sample (C, *S).

    Returns:
        By the same name: the counts of :func:`flexkern.analysis.count_cost`; ``latency``, the median seconds of one
        sample, and its interquartile range ``latency_iqr``; ``step``, the seconds of forward and backward passes of 32
        samples; ``memory``, the bytes that a forward pass of 64 samples needs at its peak, or None where they cannot be
        measured. Models are timed in turns.
    """
    nets = {}
    for name, (model, options) in models.items():
        nets[name] = create_model(model, in_channels=shape[0], **options)
    latencies = time_in_turns({name: _prediction(net, shape) for name, net in nets.items()}, ROUNDS)
    steps = time_in_turns({name: _step(net, shape) for name, net in nets.items()}, STEP_ROUNDS)
    costs = {}
    for name, net in nets.items():
        model, options = models[name]
        costs[name] = {
            **dataclasses.asdict(count_cost(net.eval(), shape)),
            "latency": latencies[name].seconds,
            "latency_iqr": latencies[name].iqr,
            "step": steps[name].seconds,
            "memory": in_own_process(_forward_memory, model, options, shape),
        }
    return costs


@torch.inference_mode()
def network_costs(nets: Mapping[str, nn.Module], shape: Shape, *, exported: bool) -> dict[str, dict[str, Any]]:
    """Return what networks cost in prediction.

    Returns:
        By name: the counts of :func:`flexkern.analysis.count_cost`, and the seconds of one sample, timed in turns, in
        eager torch (``latency_torch``) and in ONNX Runtime (``latency``), which is what a device would run. The latter
        is None without ``exported``.
    """
    sample = torch.randn(1, *shape)
    eager_calls = {name: functools.partial(net, sample) for name, net in nets.items()}
    eager = time_in_turns(eager_calls, LATENCY_ROUNDS)
    onnx: dict[str, Timing] = {}
    if exported:
        threads = torch.get_num_threads()
        onnx_calls = {name: exported_call(net, sample, threads=threads) for name, net in nets.items()}
        onnx = time_in_turns(onnx_calls, LATENCY_ROUNDS)
    costs = {}
    for name, net in nets.items():
        costs[name] = {
            **dataclasses.asdict(count_cost(net, shape)),
            "latency_torch": eager[name].seconds,
            "latency": onnx[name].seconds if exported else None,
        }
    return costs


def time_in_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    """Time calls in turns, all for the same number of rounds, after two calls of each to warm up."""
    for call in calls.values():
        call()
    seconds = {name: time_runs(call) for name, call in calls.items()}
    return interleave(dict(calls), seconds, rounds, give_up=False)


def _prediction(net: nn.Module, shape: Shape) -> Callable[[], Any]:
    net.eval()
    sample = torch.randn(1, *shape)

    @torch.inference_mode()
    def run() -> None:
        net(sample)

    return run


def _step(net: nn.Module, shape: Shape) -> Callable[[], Any]:
    net.train()
    samples = torch.randn(STEP_BATCH, *shape)
    labels = torch.zeros(STEP_BATCH, dtype=torch.long)

    def run() -> None:
        net.zero_grad()
        F.cross_entropy(net(samples), labels).backward()

    return run


def _forward_memory(model: str, options: dict[str, Any], shape: Shape) -> int | None:
    """Return the bytes of one forward pass of a batch, beyond the model and the samples."""
    torch.set_num_threads(1)
    net = create_model(model, in_channels=shape[0], **options).eval()
    with torch.inference_mode():
        net(torch.randn(1, *shape))
        samples = torch.randn(MEMORY_BATCH, *shape)
        return peak_memory(lambda: net(samples))[1]
