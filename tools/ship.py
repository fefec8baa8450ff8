"""Put a bundle's trained weights into it, and what was measured with them where its documents take it from.

    python -m tools.ship --runs RUNS --bundle vxm_hetero --grid GRID_RUNS --reference vxm_mse

The weights are those of the first seed, and the figures are over all seeds of the variant. Render afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.errors import InputError, say_in_one_line
from common.files import write_bytes, write_json
from common.io.weights import read_checkpoint

from .campaign.aggregate import FIGURES, PROTOCOLS, figures, paired_tests
from .campaign.runs import Run, check, find, method_recipe, metrics, score
from .render import BUNDLES, RECIPES, results

MEGABYTES = 25  # of a file that a repository should hold


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
            raise InputError(f"{run.folder(output)}: unfinished; finish it with tools.train_all, or remove it.")
    return runs


def split_overrides(bundle: str, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The overrides that are the method's hyper-parameters, and the rest."""
    own = method_recipe(bundle).get("settings", {})
    rest = {key: value for key, value in overrides.items() if key not in own}
    return {key: value for key, value in overrides.items() if key in own}, rest


def grid(bundle: str, output: Path, select: str) -> dict[str, Any]:
    """The score of every variant, averaged over its seeds, and the settings that all of them share."""
    runs = [run for run in find(output, bundle) if not run.overlay]
    if not runs:
        raise InputError(f"{output / bundle}: no runs; give the folder that the grid was searched in.")
    rest = [split_overrides(bundle, run.overrides)[1] for run in runs]
    shared = {key: value for key, value in rest[0].items() if all(r.get(key) == value for r in rest)}
    scores: dict[str, list[float]] = {}
    for run in runs:
        name = Run(bundle, {k: v for k, v in run.overrides.items() if k not in shared}, run.seed).variant
        value = score(run, output, select)
        if value is None:
            raise InputError(f"{run.folder(output)}: unfinished, or without a {select} Dice; finish or remove it.")
        scores.setdefault(name, []).append(value)
    table = {"grid": {name: float(np.mean(values)) for name, values in scores.items()}, "select": f"{select}/dsc"}
    return table | ({"grid_settings": shared} if shared else {})


def halved(content: bytes) -> bytes:
    """Weights rounded to half precision, in which they take half of the space; loading makes float32 of them."""
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    buffer = io.BytesIO()
    torch.save({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, buffer)
    return buffer.getvalue()


def weights(run: Run, output: Path, half: bool = False) -> tuple[bytes, dict[str, Any]]:
    """A run's weights, and what is said of them; raise InputError if they are too large for a repository."""
    folder = run.folder(output) / "train"
    content = (folder / "model.pt").read_bytes()
    content = halved(content) if half else content
    settings = dict(read_checkpoint(folder / "checkpoint.pt")["settings"])
    settings.pop("dataset")  # a place on this machine
    size = len(content) / 1e6
    if size > MEGABYTES:
        raise InputError(
            f"{folder / 'model.pt'}: {size:.0f} MB, more than the {MEGABYTES} MB that a repository should hold; "
            "publish it elsewhere."
        )
    precision = {"precision": "float16"} if half else {}
    return content, {"seed": run.seed, "sha256": hashlib.sha256(content).hexdigest(), "settings": settings, **precision}


def measured(runs: Sequence[Run], trained: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Everything known of these runs, ``trained`` with these settings, but for their weights."""
    first, bundle = metrics(runs[0], options.runs), runs[0].bundle
    own, rest = split_overrides(bundle, runs[0].overrides)
    # the bundle's own values may have been chosen before: a training without overrides has used them
    chosen = {key: trained.get(key, value) for key, value in (results(bundle).get("chosen", {}) | own).items()}
    row = {"chosen": chosen, **(grid(bundle, options.grid, options.select) if options.grid else {})}
    row |= {"dataset": first["dataset"], "split": first["split"], "pairs": first["pairs"]}
    row |= {"seeds": [run.seed for run in runs], **({"settings": rest} if rest else {})}
    row |= figures(runs, options.runs)
    if options.reference and options.reference != bundle:
        reference = seeds_of(options.reference, options.reference_variant, options.runs)
        row["against"] = {options.reference: paired_tests(runs, reference, options.runs)}
    return row


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(prog="python -m tools.ship", description=__doc__.splitlines()[0])
    described.add_argument("--runs", type=Path, required=True, help="the output folder of tools.train_all")
    described.add_argument("--bundle", required=True, metavar="NAME")
    described.add_argument("--variant", metavar="V", help="its folder's name (default: the only one)")
    described.add_argument("--grid", type=Path, metavar="RUNS", help="where its settings were searched")
    described.add_argument("--select", choices=PROTOCOLS, default="published", help="whose Dice the grid shows")
    described.add_argument("--half", action="store_true", help="round the weights to half precision")
    described.add_argument("--reference", metavar="NAME", help="the bundle that it is tested against, pair by pair")
    described.add_argument("--reference-variant", metavar="V")
    return described


def main(arguments: list[str] | None = None) -> None:
    """Ship from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    check(options.bundle, {})
    runs = seeds_of(options.bundle, options.variant, options.runs)
    content, about = weights(runs[0], options.runs, options.half)
    row = measured(runs, about["settings"], options)
    shipped = metrics(runs[0], options.runs)["protocols"]
    row |= {"weights": about, "shipped": {p: {n: shipped[p][n]["mean"] for n in FIGURES} for p in shipped}}
    write_bytes(BUNDLES / options.bundle / "models" / "model.pt", content)
    path = RECIPES / "results" / f"{options.bundle}.json"
    write_json(path, row)
    print(f"{path}: seed {runs[0].seed} of {len(runs)} shipped; render the bundle: python -m tools.render")


if __name__ == "__main__":
    main()
