"""The two sides of a pair: which subject each image is of, and each image of a split by itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError
from .prepared import Dataset

Pair = dict[str, Any]
Side = dict[str, Any]


def is_between_subjects(pair: Pair) -> bool:
    """Return whether a pair is of two subjects."""
    return moving_subject(pair) != pair["subject"]


def moving_subject(pair: Pair) -> str:
    """Return the subject of the moving image."""
    fixed: str = pair["subject"]
    return pair.get("moving_subject", fixed)


def sides_of(dataset: Dataset, split: str) -> list[Side]:
    """Return each image of a split once, by subject: {subject, image, label?, mask?, native?, is_fixed}.

    Raises:
        InputError: no such split, or a data set whose pairs are two images of one subject.
    """
    pairs, path = dataset.pairs(split), dataset.root / "dataset.json"
    if dataset.spatial_dims == 2 or not any(map(is_between_subjects, pairs)):
        what = "slices" if dataset.spatial_dims == 2 else "images"
        raise InputError(f"{path}: its pairs are {what} of one subject, and an atlas is of another; "
                         "give a set of pairs of two subjects (`warpsure prepare msd`).")  # fmt: skip
    sides: dict[str, Side] = {}
    for pair in pairs:
        for key in ("fixed", "moving"):
            side = _side(pair, key)
            before = sides.setdefault(side["image"], side)
            before["is_fixed"] |= side["is_fixed"]
    return sorted(sides.values(), key=lambda side: (side["subject"], side["image"]))


def pair_of(moving: Side, fixed: Side) -> dict[str, Any]:
    """Make a pair, as a prepared data set has it, of two of `sides_of`."""
    sides = {"moving": moving, "fixed": fixed}
    pair: Side = {"id": f"{_name(moving)}_to_{_name(fixed)}"}
    pair |= {"subject": fixed["subject"], "moving_subject": moving["subject"]}
    pair |= {key: side["image"] for key, side in sides.items()}
    pair |= {f"{key}_{role}": side[role] for role in ("label", "mask") for key, side in sides.items() if role in side}
    if "native" in moving and "native" in fixed:
        native = {key: side["native"]["path"] for key, side in sides.items()}
        for prefix, side in (("", fixed), ("moving_", moving)):
            native |= {f"{prefix}{key}": value for key, value in side["native"].items() if key != "path"}
        pair["native"] = native
    return pair


def _name(side: Side) -> str:
    return Path(side["image"]).name.removesuffix(".nii.gz")


def _side(pair: dict[str, Any], key: str) -> Side:
    subject = pair["subject"] if key == "fixed" else moving_subject(pair)
    side: Side = {"subject": subject, "image": pair[key], "is_fixed": key == "fixed"}
    side |= {role: pair[f"{key}_{role}"] for role in ("label", "mask") if pair.get(f"{key}_{role}")}
    if key in (native := pair.get("native") or {}):
        side["native"] = {"path": native[key]} | dict(_native(native, key))
    return side


def _native(native: dict[str, Any], key: str) -> Iterable[tuple[str, Any]]:
    """Yield what ``native`` says of the fixed image, or (under "moving_...") of the moving one."""
    for name, value in native.items():
        if name not in ("moving", "fixed") and name.startswith("moving_") == (key == "moving"):
            yield name.removeprefix("moving_"), value
