"""Train bundles over one grid of smoothness weights, pick each one's on validation, and repeat it over seeds.

    python -m tools.study --dataset DIR --output DIR --bundles vxm_mse vxm_hetero vxm_adacs

Every method gets the same grid, so that what remains between them is the method. The grid is run with the first
seed; the weight with the best validation figure is then run with the other seeds. It goes on where it stopped.
``--ship`` puts the first seed's weights and the figures where the bundles and their documents take them from.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from common.errors import InputError, say_in_one_line
from common.io.weights import file_hash
from common.metrics import compare, compare_patients, summary

from .render import BUNDLES, RECIPES, bundle_names

FIGURES = ("dsc", "hd", "hd95", "asd")


class Run(NamedTuple):
    """One training."""

    bundle: str
    smooth_weight: float
    seed: int

    def folder(self, output: Path) -> Path:
        """Where it and its evaluation are kept."""
        return output / self.bundle / f"smooth_{self.smooth_weight:g}" / f"seed_{self.seed}"


def execute(run: Run, options: argparse.Namespace) -> None:
    """Train and evaluate one run, unless it has been; its output goes to ``log.txt`` in its folder.

    Raises:
        InputError: if one of the two fails.
    """
    folder = run.folder(options.output)
    if (folder / "val" / "metrics.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    configs = BUNDLES / run.bundle / "configs"
    train = {"smooth_weight": run.smooth_weight, "seed": run.seed, "output_dir": folder / "train"}
    evaluate = {"checkpoint": folder / "train" / "model.pt", "split": "val", "output_dir": folder / "val"}
    with (folder / "log.txt").open("a") as log:
        for action, config, extra in (("training", "train.yaml", train), ("evaluation", "evaluate.yaml", evaluate)):
            overrides = {"dataset_dir": options.dataset, **extra}
            if action == "training":
                overrides |= dict(pair.split("=", 1) for pair in options.override)
            command = [sys.executable, "-m", "monai.bundle", "run", action, "--config_file", str(configs / config)]
            command += [text for key, value in overrides.items() for text in (f"--{key}", str(value))]
            if subprocess.run(command, stdout=log, stderr=log, cwd=BUNDLES.parent).returncode:
                raise InputError(f"{folder / 'log.txt'}: {action} failed; see its last lines.")
    print(f"{run.bundle} smooth_weight {run.smooth_weight:g} seed {run.seed}: {score(run, options):.2f}", flush=True)


def metrics(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """What the evaluation of a run wrote."""
    return json.loads((run.folder(options.output) / "val" / "metrics.json").read_text())


def score(run: Run, options: argparse.Namespace) -> float:
    """The validation figure that selects."""
    return metrics(run, options)["protocols"][options.select]["dsc"]["mean"]


def in_parallel(runs: list[Run], options: argparse.Namespace) -> None:
    """Execute runs, ``--jobs`` at a time."""
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(execute, run, options) for run in runs]
        try:
            for future in futures:
                future.result()
        finally:  # after a failure, what has not begun need not begin
            pool.shutdown(cancel_futures=True)


def per_pair(runs: list[Run], options: argparse.Namespace, column: str) -> tuple[np.ndarray, list[str]]:
    """A column of ``metrics.csv`` averaged over seeds (one value a pair), and the pairs' subjects."""
    tables = []
    for run in runs:
        with (run.folder(options.output) / "val" / "metrics.csv").open(newline="") as file:
            tables.append(list(csv.DictReader(file)))
    values = [[float(row[column] or "nan") for row in table] for table in tables]
    return np.mean(values, axis=0), [row["subject"] for row in tables[0]]


def figures(runs: list[Run], options: argparse.Namespace) -> dict[str, Any]:
    """Mean and spread over seeds of everything an evaluation reports."""
    reports = [metrics(run, options) for run in runs]
    table: dict[str, Any] = {}
    for protocol in ("published", "standard"):
        names = [name for name in FIGURES if name in reports[0]["protocols"][protocol]]
        means = {name: [r["protocols"][protocol][name]["mean"] for r in reports] for name in names}
        table[protocol] = {name: {**summary(values), "seeds": values} for name, values in means.items()}
    for name in ("folding_percent", "sd_log_jacobian", "ause", "seconds_per_pair"):
        values = [report[name] for report in reports if report[name] is not None]
        table[name] = summary(values) if values else None
    table["undeformed"] = reports[0]["undeformed"]
    return table


def paired_tests(ours: list[Run], reference: list[Run], options: argparse.Namespace) -> dict[str, Any]:
    """Dice of one method against another's, both averaged over seeds: per pair and per patient."""
    tests = {}
    for protocol in ("published", "standard"):
        a, subjects = per_pair(ours, options, f"{protocol}/dsc")
        b, _ = per_pair(reference, options, f"{protocol}/dsc")
        tests[protocol] = {
            "pairs": compare(a, b)._asdict(),
            "patients": compare_patients(a, b, subjects)._asdict(),
        }
    return tests


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Run the whole study and return its table."""
    first, *others = options.seeds
    grid = {b: [Run(b, w, first) for w in options.smooth_weights] for b in options.bundles}
    in_parallel([run for runs in grid.values() for run in runs], options)
    best = {b: max(runs, key=lambda run: score(run, options)) for b, runs in grid.items()}
    chosen = {b: [run._replace(seed=seed) for seed in (first, *others)] for b, run in best.items()}
    in_parallel([run for runs in chosen.values() for run in runs], options)
    table = {}
    for b, runs in chosen.items():
        table[b] = {
            "smooth_weight": best[b].smooth_weight,
            "grid": {f"{run.smooth_weight:g}": score(run, options) for run in grid[b]},
            "select": f"{options.select}/dsc",
            "dataset": metrics(runs[0], options)["dataset"],
            "split": "val",
            "pairs": metrics(runs[0], options)["pairs"],
            "seeds": options.seeds,
            "settings": options.override,
            **figures(runs, options),
        }
        if options.reference in chosen and b != options.reference:
            table[b]["against"] = {options.reference: paired_tests(runs, chosen[options.reference], options)}
        if options.ship:
            ship(runs[0], table[b], options)
    return table


def ship(run: Run, row: dict[str, Any], options: argparse.Namespace) -> None:
    """Put a run's weights into its bundle, and its figures beside the recipes."""
    weights = BUNDLES / run.bundle / "models" / "model.pt"
    weights.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.folder(options.output) / "train" / "model.pt", weights)
    settings = torch.load(run.folder(options.output) / "train" / "checkpoint.pt", weights_only=True)["settings"]
    del settings["dataset"]
    protocols = metrics(run, options)["protocols"]
    row |= {
        "weights": {"seed": run.seed, "sha256": file_hash(weights), "settings": settings},
        "shipped": {p: {name: protocols[p][name]["mean"] for name in FIGURES} for p in protocols},
    }
    (RECIPES / "results" / f"{run.bundle}.json").write_text(json.dumps(row, indent=1) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Run a study from the command line."""
    say_in_one_line()
    parser = argparse.ArgumentParser(prog="python -m tools.study", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="a prepared data set")
    parser.add_argument("--output", type=Path, required=True, help="where runs and study.json go")
    parser.add_argument("--bundles", nargs="+", default=bundle_names())
    parser.add_argument("--smooth-weights", nargs="+", type=float, default=[0.005, 0.01, 0.02])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--select", choices=["published", "standard"], default="published", help="whose Dice selects")
    parser.add_argument("--reference", default="vxm_mse", help="whom the paired tests compare with")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--override", nargs="*", default=[], metavar="KEY=VALUE", help="settings of every training")
    parser.add_argument("--ship", action="store_true", help="install weights and figures in the bundles")
    options = parser.parse_args(arguments)
    options.dataset = str(Path(options.dataset).resolve())
    options.output = options.output.resolve()
    table = study(options)
    (options.output / "study.json").write_text(json.dumps(table, indent=1) + "\n")
    for bundle, row in table.items():
        dsc = row["published"]["dsc"]
        print(f"{bundle}: smooth_weight {row['smooth_weight']:g}, published DSC {dsc['mean']:.2f} +- {dsc['sd']:.2f}")


if __name__ == "__main__":
    main()
