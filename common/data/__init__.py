"""Prepared data sets: their format, their pairs, their batches, and the phantom."""

from .loader import PairLoader
from .pairs import PreparedPairs

__all__ = ["PairLoader", "PreparedPairs"]
