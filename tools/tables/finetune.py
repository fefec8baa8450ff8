"""What weights are worth on few pairs: Dice as they are, refined, after short trainings from them, and from nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..recipes import shipped
from .cells import NONE, at, head, line, spread

COLUMNS = {
    "published/dsc": ("DSC published", 2),
    "standard/dsc": ("DSC standard", 2),
    "standard/hd95": ("HD95 standard", 2),
    "folding_percent": ("folding %", 3),
}


def table(data: str) -> Iterator[str]:
    """What was compared, and a line for each row of `benchmark finetune` on ``data``."""
    path = shipped.RECIPES / "results" / "finetune" / f"{data}.json"
    if not path.is_file():
        return
    found = json.loads(path.read_text("utf-8"))
    yield caption(found)
    yield ""
    yield from head(("", "epochs", "learning rate", *(name for name, _ in COLUMNS.values())))
    for row in found["rows"]:
        numbers = (spread(at(row, key), digits) for key, (_, digits) in COLUMNS.items())
        trained = (row["epochs"], f"{row['learning_rate']:g}") if row["epochs"] else (NONE, NONE)
        yield line([called(row), *trained, *numbers])


def caption(found: Mapping[str, Any]) -> str:
    """The bundle, the pairs and the seeds."""
    train, val = (f"{each['pairs']} pairs of {each['subjects']} subjects" for each in (found["train"], found["val"]))
    seeds = f"seed{'s' * (len(found['seeds']) > 1)} {', '.join(map(str, found['seeds']))}"
    return (
        f"{found['dataset']}, `{found['bundle']}`: trained on {train} ({found['steps_an_epoch']} steps an epoch), "
        f"measured on {val}, by {', '.join(found['labels'])}; {seeds}."
    )


def called(row: Mapping[str, Any]) -> str:
    """What a row is of, but for the training."""
    if row["epochs"]:
        return f"from `{row['init']}`" if row["init"] else "from nothing"
    if not row["init"]:
        return "no registration"
    refined = f"`refine_steps` {row['refine_steps']}" if row["refine_steps"] else "as they are"
    return f"`{row['init']}`, {refined}"
