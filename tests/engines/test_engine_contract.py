"""Both engines against nested loops."""

from contracts import EngineContract


class TestDirect(EngineContract):
    engine = "direct"


class TestFFT(EngineContract):
    engine = "fft"
