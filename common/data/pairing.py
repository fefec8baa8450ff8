"""Which pairs of a split are used: those listed, all that its images make, or each image with its atlas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import InputError
from .names import PAIRINGS
from .prepared import IMAGE_KEYS, LABEL_KEYS, MASK_KEYS, Dataset
from .sides import is_between_subjects, moving_subject

Pair = dict[str, Any]
ROLES = {"image": IMAGE_KEYS, "label": LABEL_KEYS, "mask": MASK_KEYS}
"""What belongs to an image, and its keys on the moving and on the fixed side of a pair."""


def pairs_of(
    dataset: Dataset, split: str, pairing: str | None = "listed", share: float = 1.0, seed: int = 0
) -> list[Pair]:
    """Return the pairs of a split.

    Args:
        dataset: a prepared data set.
        split: "train", "val" or "test".
        pairing: "listed" as in dataset.json; "all" ordered pairs of two subjects; "atlas", each image with the training
            image that it correlates with most; None is "all" where the listed pairs are of two subjects, else "listed".
        share: keeps the pairs of this share of the subjects, drawn by ``seed`` (bootstrap; predictive, Sec. 3.2.1).

    Raises:
        InputError: for an unknown pairing or share, one that the data set does not allow, or no pair left.
    """
    if pairing is not None and pairing not in PAIRINGS:
        raise InputError(f"pairing is {pairing!r}: it must be null or one of {', '.join(PAIRINGS)}.")
    if not 0 < share <= 1:
        raise InputError(f"training_share is {share}: it must be above 0 and at most 1.")
    if pairing == "atlas":
        from .atlas import atlas_pairs  # which needs torch

        return atlas_pairs(dataset, split)
    pairs = dataset.pairs(split)
    between = any(map(is_between_subjects, pairs))
    if pairing == "all" and not between:
        raise InputError(
            f"{dataset.root}: pairing is 'all', but its pairs are of one subject each; leave it at 'listed'."
        )
    kept = subjects_kept(pairs, share, seed)
    chosen = all_pairs(pairs) if between and pairing != "listed" else pairs
    chosen = [pair for pair in chosen if {pair["subject"], moving_subject(pair)} <= kept]
    if not chosen:
        raise InputError(
            f"{dataset.root}: no pair left in split {split!r} of {len(kept)} subject(s); "
            "raise training_share, or prepare more images."
        )
    return chosen


def subjects_kept(pairs: Iterable[Pair], share: float, seed: int) -> set[str]:
    """Return a seeded share of the subjects, one at least."""
    subjects = sorted({subject for pair in pairs for subject in (pair["subject"], moving_subject(pair))})
    order = np.random.default_rng([seed, len(subjects)]).permutation(len(subjects))
    return {subjects[i] for i in order[: max(round(share * len(subjects)), 1)]}


def all_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """Return every ordered pair of two of the subjects' images."""
    images: dict[str, tuple[Pair, int]] = {}
    for pair in pairs:
        for side, subject in enumerate((moving_subject(pair), pair["subject"])):
            images.setdefault(subject, (pair, side))
    names = sorted(images)
    return [joined(images[moving], images[fixed]) for fixed in names for moving in names if moving != fixed]


def joined(moving: tuple[Pair, int], fixed: tuple[Pair, int]) -> Pair:
    """Return the pair of two images, each given as one side (0 moving, 1 fixed) of a pair that has it."""
    subjects = [(moving_subject(pair), pair["subject"])[side] for pair, side in (moving, fixed)]
    made: Pair = {"id": f"{subjects[0]}_to_{subjects[1]}", "subject": subjects[1], "moving_subject": subjects[0]}
    for keys in ROLES.values():
        for to, (pair, side) in enumerate((moving, fixed)):
            if keys[side] in pair:
                made[keys[to]] = pair[keys[side]]
    return made
