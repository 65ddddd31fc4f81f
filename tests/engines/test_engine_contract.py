"""Both engines against nested loops."""

from engine_contract import EngineContract


class TestDirect(EngineContract):
    engine = "direct"


class TestFFT(EngineContract):
    engine = "fft"
