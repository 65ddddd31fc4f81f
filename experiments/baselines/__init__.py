"""Layers of other papers that experiments compare with, written from their formulas and tested against loops."""

from .njet import NJetConv2d as NJetConv2d
