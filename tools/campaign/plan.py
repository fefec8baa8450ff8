"""What a campaign trains: every bundle with every seed, by the settings that were asked for or found."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.collection.find import names
from common.errors import InputError
from common.options import parse_overrides

from .runs import OVERLAY, Run, check


def planned(
    bundles: Sequence[str] | None,
    seeds: Sequence[int],
    override: Sequence[str],
    settings: Path | None,
    overlay: str | None,
) -> list[Run]:
    """Every run asked for, a bundle's seeds together.

    Args:
        bundles: their names; None for all.
        seeds: of each.
        override: ``KEY=VALUE`` of every training.
        settings: what a search found, a file; None for none.
        overlay: the file to lay over train.yaml; None for none.

    Raises:
        InputError: for one that cannot be trained.
    """
    shared, best, laid_over = parse_overrides(override), read_settings(settings), (overlay or "").removesuffix(OVERLAY)
    overrides = {bundle: best.get(bundle, {}) | shared for bundle in bundles or names()}
    for bundle in overrides:
        check(bundle, overrides[bundle], laid_over)
        if best and bundle not in best:
            print(f"{bundle}: not in {settings}; trained as its train.yaml says", flush=True)
    return [Run(bundle, overrides[bundle], seed, laid_over) for bundle in overrides for seed in dict.fromkeys(seeds)]


def read_settings(path: Path | None) -> dict[str, dict[str, Any]]:
    """What a search found: bundle -> overrides; empty without a file.

    Raises:
        InputError: if it cannot be read as that.
    """
    try:
        content = json.loads(path.read_text("utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the best.json of warpsure search.") from error
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise InputError(f"{path}: not a mapping of bundles to overrides; give the best.json of warpsure search.")
    return content


def is_first() -> bool:
    """Whether this is the first process, of as many as a launcher has started."""
    return int(os.environ.get("RANK", 0)) == 0


def share(runs: Sequence[Run]) -> Sequence[Run]:
    """The runs that this process takes, of as many processes as a launcher has started."""
    return runs[int(os.environ.get("RANK", 0)) :: int(os.environ.get("WORLD_SIZE", 1))]
