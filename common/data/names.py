"""The words of prepared data sets that programs offer; nothing heavy is imported, so that they can tell them."""

SPLITS = ("train", "val", "test")
PAIRINGS = ("listed", "all", "atlas")
"""Which pairs of a split are used; see `pairing`."""
PROTOCOLS = ("published", "standard")
"""Whose Dice is meant; see `metrics`."""
