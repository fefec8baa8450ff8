"""What refinement of each pair brings: Dice, or on the phantom the endpoint error, before and after its steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..recipes import shipped
from .cells import head, line

COLUMNS = {
    "published": ("DSC published", 2),
    "standard": ("DSC standard", 2),
    "standard_hd95": ("HD95 standard", 2),
    "folding_percent": ("folding %", 3),
    "endpoint_error": ("endpoint error, voxels", 3),
    "seconds": ("seconds a pair", 2),
}


FOLLOWING = {
    "network": ("endpoint error of the network, voxels", 3),
    "alone": ("each frame refined by itself", 3),
    "following": ("frames that follow each other", 3),
    "loss_alone": ("loss, by itself", 5),
    "loss_following": ("loss, following", 5),
}


def following() -> Iterator[str]:
    """A line for each bundle of `benchmark following`."""
    path = shipped.RECIPES / "results" / "following" / "phantom.json"
    if not path.is_file():
        return
    yield from head(("", *(title for title, _ in FOLLOWING.values())))
    for name, row in json.loads(path.read_text("utf-8"))["rows"].items():
        yield line([f"`{name}`", *(f"{row[key]:.{digits}f}" for key, (_, digits) in FOLLOWING.items())])


def table(data: str) -> Iterator[str]:
    """A line for each bundle and number of steps, and each classical method, of `benchmark refine` on ``data``."""
    path = shipped.RECIPES / "results" / "refine" / f"{data}.json"
    if not path.is_file():
        return
    points: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8"))["points"]
    known = [key for key in COLUMNS if any(key in point for each in points.values() for point in each)]
    yield from head(("", "steps", *(COLUMNS[key][0] for key in known)))
    for name, each in points.items():
        for point in each:
            bundle = "steps" in point and " " not in name
            yield line(
                [f"`{name}`" if bundle else name, point.get("steps", ""), *(number(point, key) for key in known)]
            )


def number(point: dict[str, Any], key: str) -> str:
    """A number as the table has it, with its deviation over seeds if it has one; nothing for one that is not there."""
    if key not in point:
        return ""
    digits = COLUMNS[key][1]
    spread = f" ± {point[f'{key}_sd']:.{digits}f}" if f"{key}_sd" in point else ""
    return f"{point[key]:.{digits}f}{spread}"
