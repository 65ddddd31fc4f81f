"""What evaluation may use again: sampled weights and their spectra, until a parameter changes.

The cache lies beside the layers, not in them: copies, pickles and state dicts do not contain it. An entry is dropped
with its layer, or when the layer is trained. On a CPU parameters are compared by value. On an accelerator, where
reading values would wait for the device, an edit through ``parameter.data`` takes effect at the next optimiser step.
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

SPECTRA_PER_LAYER = 2
"""Spectra, one per signal size, that are kept for a layer."""
LARGEST_SPECTRUM = 2**26
"""Bytes beyond which a spectrum is not kept."""


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
    """Return the layer's entry, renewed if a parameter or buffer has changed, or None where nothing may be kept.

    Nothing is kept while gradients are recorded or code is compiled, nor for tensors whose changes cannot be seen.
    """
    if compiling():
        return None
    if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in layer.parameters()):
        with _lock:
            _entries.pop(layer, None)  # the next optimiser step makes it useless
        return None
    tensors = [*layer.parameters(), *layer.buffers()]
    if transforming() or not all(_is_observable(tensor) for tensor in tensors):
        return None
    # Inference tensors must not meet autograd; fused optimisers raise no version, so every step counts as a change.
    settings = map(_settings, layer.modules())
    structure = (bounds, torch.is_inference_mode_enabled(), steps_taken(), *settings)
    with _lock:
        entry = _entries.get(layer)
    if entry is not None and entry.structure == structure and _is_unchanged(entry.state, tensors):
        return entry
    state = [(_signature(tensor), _witness(tensor)) for tensor in tensors]
    entry = Entry(state, structure, sample())
    with _lock:
        _entries[layer] = entry
    return entry


def reuse_spectrum(entry: Entry, weight: Weight, plan: Plan) -> Spectrum | None:
    """Return the spectrum of the entry's weight for ``plan``; drop the oldest one where there are too many."""
    key = (spectrum_key(plan), factors(weight)[0].dtype)
    with _lock:
        cached = entry.spectra.get(key)
    if cached is not None:
        return cached
    spectrum = prepare(weight, plan)
    if spectrum is not None and spectrum.nbytes <= LARGEST_SPECTRUM:
        with _lock:
            while len(entry.spectra) >= SPECTRA_PER_LAYER:
                oldest = next(iter(entry.spectra))
                entry.spectra.pop(oldest)
            entry.spectra[key] = spectrum
    return spectrum


def _settings(module: nn.Module) -> Hashable:
    """Return what else the values of a module depend on: its class (parametrizations change it) and attributes."""
    plain = tuple((name, value) for name, value in vars(module).items() if isinstance(value, bool | int | float | str))
    return id(module), type(module), plain


def _is_observable(tensor: Tensor) -> bool:
    """Return whether a change can be seen: inference tensors on an accelerator have no version."""
    return type(tensor) in (Tensor, nn.Parameter) and (tensor.device.type == "cpu" or not tensor.is_inference())


def _signature(tensor: Tensor) -> Hashable:
    """Return what changes with the tensor and can be compared without reading its values."""
    version = None if tensor.device.type == "cpu" else (id(tensor), tensor._version, tensor.data_ptr())
    return version, tensor.dtype, tensor.device


def _witness(tensor: Tensor) -> Tensor:
    """Return a copy on a CPU, so that edits through ``.data``, which no version counts, are seen as well."""
    return tensor.detach().clone() if tensor.device.type == "cpu" else tensor.detach()


def _is_unchanged(state: list[tuple[Hashable, Tensor]], tensors: list[Tensor]) -> bool:
    if len(state) != len(tensors):
        return False
    for (signature, witness), tensor in zip(state, tensors, strict=True):
        if signature != _signature(tensor):
            return False
        if tensor.device.type == "cpu" and not torch.equal(witness, tensor):
            return False
    return True
