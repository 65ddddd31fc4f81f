"""Every engine, and the choice between them, against nested loops."""

from contracts.engine import EngineContract
from contracts.engine_laws import EngineLaws


class TestDirect(EngineContract, EngineLaws):
    engine = "direct"
    uses, avoids = frozenset({"convolution"}), frozenset({"fft"})


class TestFFT(EngineContract, EngineLaws):
    engine = "fft"
    uses, avoids = frozenset({"fft"}), frozenset({"convolution"})


class TestDFT(EngineContract, EngineLaws):
    engine = "dft"
    uses, avoids = frozenset({"product"}), frozenset({"convolution", "fft"})


class TestOverlapSave(EngineContract, EngineLaws):
    engine = "overlap_save"
    avoids = frozenset({"convolution"})


class TestAuto(EngineContract, EngineLaws):
    engine = "auto"
