"""Put a bundle's trained weights into the repository, and what was measured with them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.collection.find import BUNDLES
from common.collection.weights import NAME, file_name
from common.errors import InputError
from common.files import write_bytes, write_json
from common.io.weights import read_checkpoint

from ..recipes.shipped import default_name, results, results_file
from .aggregate import FIGURES, figures, paired_tests
from .runs import Run, check, find, metrics, own_settings, score
from .variants import write_variant

MEGABYTES = 25  # of a file that a repository should hold


def ship(
    runs: Path,
    bundle: str,
    variant: str | None,
    searched: Path | None,
    select: str,
    half: bool,
    reference: str | None,
    reference_variant: str | None,
    name: str | None = None,
) -> None:
    """Write a bundle's weights, its default ones or those of a ``name``, and their file of results.

    Arguments as the program's.

    Raises:
        InputError: for runs that cannot be shipped, before anything is written.
    """
    check(bundle, {})
    check_name(bundle, name)
    seeds = seeds_of(bundle, variant, runs)
    content, about = weights(seeds[0], runs, half)
    search = scores_of(bundle, searched, select) if searched else searched_before(bundle, name)
    row = measured(seeds, runs, about["settings"], search)
    if reference and reference != bundle:
        others = seeds_of(reference, reference_variant, runs)
        row["against"] = {reference: paired_tests(seeds, others, runs)}
    shipped = metrics(seeds[0], runs)["protocols"]
    row |= {"weights": about, "shipped": {p: {n: shipped[p][n]["mean"] for n in FIGURES} for p in shipped}}
    write_bytes(BUNDLES / bundle / "models" / file_name(name), content)
    path = results_file(bundle, name)
    write_json(path, row)
    print(f"{path}: seed {seeds[0].seed} of {len(seeds)} shipped; render the bundle: warpsure render")


def check_name(bundle: str, name: str | None) -> None:
    """Refuse a name that weights beside a bundle's default ones cannot have.

    Raises:
        InputError: naming it.
    """
    if name is None:
        return
    if not NAME.fullmatch(name):
        raise InputError(f"--weights {name}: give a name of small letters, digits and _, as camus.")
    if not (default := results(bundle)):
        raise InputError(f"--weights {name}: {bundle} has no default weights; ship those first, without --weights.")
    if name == default_name(default):
        raise InputError(f"--weights {name}: that is {bundle}'s default; leave out --weights, or choose another name.")


def measured(
    runs: Sequence[Run], output: Path, trained: Mapping[str, Any], search: Mapping[str, Any]
) -> dict[str, Any]:
    """What is known of these runs, but for their weights and tests.

    Args:
        runs: the seeds of one variant.
        output: where they are.
        trained: the settings of the training.
        search: what `scores_of` gives, or nothing.
    """
    first, bundle = metrics(runs[0], output), runs[0].bundle
    own, rest = split_overrides(bundle, runs[0].overrides)
    # the bundle's own values may have been chosen before: a training without overrides has used them
    chosen = {key: trained.get(key, value) for key, value in (results(bundle).get("chosen", {}) | own).items()}
    row = {"chosen": chosen, **search, **{key: first[key] for key in ("dataset", "split", "pairs")}}
    row |= {"seeds": [run.seed for run in runs], **({"settings": rest} if rest else {})}
    return row | figures(runs, output)


def seeds_of(bundle: str, variant: str | None, output: Path) -> list[Run]:
    """The runs of one variant, by seed: the only one if None.

    Raises:
        InputError: for no such runs, several variants to choose from, and runs that are unfinished.
    """
    found = find(output, bundle)
    variants = sorted({run.variant for run in found})
    if not variants or variant not in (None, *variants):
        known = f"only {', '.join(variants)}" if variants else "none"
        raise InputError(f"{output / bundle}: no runs of {variant or 'any variant'}, {known}; train them first.")
    if variant is None and len(variants) > 1:
        raise InputError(f"{output / bundle}: several variants; choose one: --variant {' | '.join(variants)}")
    runs = [run for run in found if run.variant in (variant, *variants[: variant is None])]
    if runs[0].overlay:
        raise InputError(
            f"{runs[0].folder(output)}: a {runs[0].overlay} run; a bundle ships one network: choose another --variant."
        )
    for run in runs:
        if metrics(run, output) is None:
            raise InputError(f"{run.folder(output)}: unfinished; finish it with warpsure train-all, or remove it.")
    return runs


def split_overrides(bundle: str, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The overrides that are settings of the bundle's method or architecture, and the rest."""
    own = own_settings(bundle)
    rest = {key: value for key, value in overrides.items() if key not in own}
    return {key: value for key, value in overrides.items() if key in own}, rest


def scores_of(bundle: str, output: Path, select: str) -> dict[str, Any]:
    """The score of every variant, averaged over its seeds, and the settings that all of them share."""
    runs = [run for run in find(output, bundle) if not run.overlay]
    if not runs:
        raise InputError(f"{output / bundle}: no runs; give the folder that the grid was searched in.")
    rest = [split_overrides(bundle, run.overrides)[1] for run in runs]
    shared = {key: value for key, value in rest[0].items() if all(r.get(key) == value for r in rest)}
    scores: dict[str, list[float]] = {}
    for run in runs:
        name = write_variant({key: value for key, value in run.overrides.items() if key not in shared})
        value = score(run, output, select)
        if value is None:
            raise InputError(f"{run.folder(output)}: unfinished, or without a {select} Dice; finish or remove it.")
        scores.setdefault(name, []).append(value)
    table = {"grid": {name: float(np.mean(values)) for name, values in scores.items()}, "select": f"{select}/dsc"}
    return table | ({"grid_settings": shared} if shared else {})


def searched_before(bundle: str, name: str | None) -> dict[str, Any]:
    """What is known of an earlier search: weights trained anew with the settings that it chose keep its scores."""
    row = results(bundle, name)
    return {key: row[key] for key in ("grid", "select", "grid_settings") if key in row}


def halved(content: bytes) -> bytes:
    """Weights rounded to half precision, in which they take half of the space; loading makes float32 of them."""
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    buffer = io.BytesIO()
    torch.save({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, buffer)
    return buffer.getvalue()


def steps_in(checkpoint: Mapping[str, Any]) -> dict[str, int]:
    """How many steps the displacement estimator's optimiser has taken, as Adam counts them; nothing of another."""
    states = checkpoint.get("optimizer", {}).get("state", {}).values()
    found = [int(state["step"]) for state in states if "step" in state]
    return {"steps": max(found)} if found else {}


def settings_in(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """A training's settings, without places on this machine: its data set, the folder of weights that it began with."""
    settings = {key: value for key, value in checkpoint["settings"].items() if key != "dataset"}
    if settings.get("init") is not None:
        settings["init"] = Path(settings["init"]).name
    return settings


def began_with(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of the training whose weights this one began with; None unless its checkpoint lies beside them."""
    before = Path(checkpoint["settings"].get("init") or "").parent / "checkpoint.pt"
    return settings_in(read_checkpoint(before)) if before.is_absolute() and before.is_file() else None


def weights(run: Run, output: Path, half: bool = False) -> tuple[bytes, dict[str, Any]]:
    """A run's weights, and what is said of them; raise InputError if they are too large for a repository."""
    folder = run.folder(output) / "train"
    content = (folder / "model.pt").read_bytes()
    content = halved(content) if half else content
    checkpoint = read_checkpoint(folder / "checkpoint.pt")
    settings, begun = settings_in(checkpoint), began_with(checkpoint)
    size = len(content) / 1e6
    if size > MEGABYTES:
        raise InputError(
            f"{folder / 'model.pt'}: {size:.0f} MB, more than the {MEGABYTES} MB that a repository should hold; "
            "publish it elsewhere."
        )
    about = {"seed": run.seed, "sha256": hashlib.sha256(content).hexdigest(), "settings": settings}
    about |= {"precision": "float16"} if half else {}
    about |= {"began_with": begun} if begun else {}
    about |= steps_in(checkpoint)
    epoch = checkpoint.get("epoch")
    stopped = epoch is not None and epoch < settings["max_epochs"]
    return content, about | ({"stopped_after_epoch": epoch} if stopped else {})
