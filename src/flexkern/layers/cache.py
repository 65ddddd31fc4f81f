"""What evaluation may use again: sampled weights and their spectra, until a parameter changes.

The cache lies beside the layers, not in them: copies, pickles and state dicts know nothing of it, and an entry goes
with its layer, or when the layer is trained. On a CPU parameters are compared by value. On an accelerator, where
looking would mean waiting, an edit through ``parameter.data`` is noticed with the next step of any optimiser only.
"""

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .._support.tracing import compiling, transforming
from ..engines import Plan, Spectrum, Weight, factors, prepare, spectrum_key
from ..windows import steps_taken

SPECTRA_KEPT = 2
"""Signal sizes per layer whose spectra are kept at a time."""
LARGEST_SPECTRUM = 2**26
"""Bytes beyond which a spectrum is made anew every time."""


@dataclass
class Entry:
    """A weight, the state of the parameters it was sampled from, and its spectra by plan."""

    state: list[tuple[Hashable, Tensor]]
    structure: Hashable
    weight: Weight
    spectra: dict[Hashable, Spectrum] = field(default_factory=dict)


_entries: "weakref.WeakKeyDictionary[nn.Module, Entry]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def reuse(layer: nn.Module, bounds: Hashable, sample: Callable[[], Weight]) -> Entry | None:
    """The layer's entry, made anew if a parameter or buffer has changed; None where nothing may be kept.

    Nothing is kept while gradients are recorded or code is compiled, and for tensors whose changes cannot be seen.
    """
    if compiling():
        return None
    if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in layer.parameters()):
        with _lock:
            _entries.pop(layer, None)  # training goes on: what evaluation kept is old with the next step
        return None
    tensors = [*layer.parameters(), *layer.buffers()]
    if transforming() or not all(_observable(tensor) for tensor in tensors):
        return None
    # Inference tensors must not meet autograd; fused optimisers raise no version, so every step counts as a change.
    structure = (bounds, torch.is_inference_mode_enabled(), steps_taken(), *map(_settings, layer.modules()))
    with _lock:
        entry = _entries.get(layer)
    if entry is not None and entry.structure == structure and _unchanged(entry.state, tensors):
        return entry
    entry = Entry([(_signature(tensor), _witness(tensor)) for tensor in tensors], structure, sample())
    with _lock:
        _entries[layer] = entry
    return entry


def reuse_spectrum(entry: Entry, weight: Weight, plan: Plan) -> Spectrum | None:
    """The spectrum of the entry's weight, in the dtype given; the oldest is forgotten when there are too many."""
    key = (spectrum_key(plan), factors(weight)[0].dtype)
    with _lock:
        found = entry.spectra.get(key)
    if found is not None:
        return found
    made = prepare(weight, plan)
    if made is not None and made.nbytes <= LARGEST_SPECTRUM:
        with _lock:
            while len(entry.spectra) >= SPECTRA_KEPT:
                entry.spectra.pop(next(iter(entry.spectra)))
            entry.spectra[key] = made
    return made


def _settings(module: nn.Module) -> Hashable:
    """What else decides a module's values: its kind (parametrizations change it) and plain attributes."""
    plain = [(k, v) for k, v in vars(module).items() if isinstance(v, bool | int | float | str)]
    return id(module), type(module), tuple(plain)


def _observable(tensor: Tensor) -> bool:
    """Whether a change can be seen: inference tensors on an accelerator keep no version."""
    return type(tensor) in (Tensor, nn.Parameter) and (tensor.device.type == "cpu" or not tensor.is_inference())


def _signature(tensor: Tensor) -> Hashable:
    """What changes with the tensor without looking at its values."""
    version = None if tensor.device.type == "cpu" else (id(tensor), tensor._version, tensor.data_ptr())
    return version, tensor.dtype, tensor.device


def _witness(tensor: Tensor) -> Tensor:
    """On a CPU a copy, so that edits through ``.data``, which no version counts, are seen as well."""
    return tensor.detach().clone() if tensor.device.type == "cpu" else tensor.detach()


def _unchanged(state: list[tuple[Hashable, Tensor]], tensors: list[Tensor]) -> bool:
    return len(state) == len(tensors) and all(
        signature == _signature(tensor) and (tensor.device.type != "cpu" or torch.equal(witness, tensor))
        for (signature, witness), tensor in zip(state, tensors, strict=True)
    )
