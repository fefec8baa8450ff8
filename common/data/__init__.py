"""Prepared data sets: their format, their pairs, their batches, and the phantom."""

from ..lazy import attributes

# converters need neither torch nor MONAI
__getattr__ = attributes(__name__, {"PairLoader": "loader", "PreparedPairs": "pairs"})
__all__ = ["PairLoader", "PreparedPairs"]
