"""Keep the figures of a classical method's evaluation in the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_json

from ..baselines import NAMES
from ..campaign.aggregate import FIGURES
from ..recipes import shipped

METHODS = tuple(name for name in NAMES if name != "undeformed")  # of which every bundle's file has the figures
HOME = "ACDC"  # whose files are called after the method alone
ABOUT = ("dataset", "split", "pairs", "subjects", "engine", "settings", "threads", "seconds_per_pair")


def keep(folder: Path) -> Path:
    """Write ``results/baselines/NAME.json``, or ``NAME_camus.json`` of another data set, from an evaluation.

    Raises:
        InputError: for a folder that is no evaluation of a classical method, or one with failed pairs.
    """
    path = folder / "metrics.json"
    try:
        evaluated = json.loads(path.read_text("utf-8"))
        row = figures(evaluated)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not what `warpsure baselines NAME --output DIR` writes") from error
    if row["name"] not in METHODS:
        raise InputError(f"{path}: of {row['name']}, which is none of {', '.join(METHODS)}; a bundle's are shipped.")
    if evaluated["failed"]:
        raise InputError(f"{path}: {evaluated['failed']} pairs failed; run the same command again.")
    other = "" if row["dataset"] == HOME else f"_{row['dataset'].lower()}"
    target = shipped.RECIPES / "results" / "baselines" / f"{row['name']}{other}.json"
    write_json(target, row)
    return target


def figures(evaluated: dict[str, Any]) -> dict[str, Any]:
    """What the tables take, as files of bundles have it: a method without seeds has means alone."""
    protocols = {
        protocol: {name: {"mean": values[name]["mean"]} for name in FIGURES}
        for protocol, values in evaluated["protocols"].items()
    }
    folding = {"folding_percent": {"mean": evaluated["folding_percent"]}}
    return {"name": evaluated["bundle"], **{key: evaluated[key] for key in ABOUT}, **protocols, **folding}
