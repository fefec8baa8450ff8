"""Seeded splits by patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from common.data.prepared import SPLITS
from common.errors import InputError


def split_subjects(subjects: Iterable[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Assign every subject to train, val or test; the same names and seed give the same splits.

    Counts are rounded so that they add up, and no split that was asked for stays empty while there are
    subjects enough.
    """
    names = sorted(set(subjects))
    counts = _counts(len(names), fractions)
    order = np.random.default_rng(seed).permutation(len(names))
    splits = np.repeat(np.array(SPLITS), counts)
    return {names[index]: str(split) for index, split in zip(order, splits, strict=True)}


def _counts(total: int, fractions: Sequence[float]) -> list[int]:
    exact = np.asarray(fractions) * total
    counts = np.floor(exact + 1e-9).astype(int)
    for index in np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    for index, fraction in enumerate(fractions):
        if fraction > 0 and counts[index] == 0 and counts.max() > 1:
            counts[int(np.argmax(counts))] -= 1
            counts[index] = 1
    return counts.tolist()


def refuse_shared(subjects: dict[str, set[str]]) -> None:
    """Raise InputError if a subject of ``subjects`` (split to names) is in two splits."""
    seen: dict[str, str] = {}
    for split, names in subjects.items():
        for name in sorted(names):
            if name in seen:
                raise InputError(
                    f"{name} is in the splits {seen[name]} and {split}; a patient may be in one only: "
                    "check --test-source"
                )
            seen[name] = split
