"""What weights are worth on few pairs: as they are, refined, and as the beginning of trainings, beside nothing at all.

Every training is one of its own, whose schedule ends with it. It is validated at its end alone, so that the validation
pairs choose nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from common.data import prepared
from common.data.pairing import pairs_of
from common.errors import InputError
from common.files import write_json
from common.initial import find_weights

from ..campaign import launching
from ..campaign.aggregate import PROTOCOLS, figures, figures_of
from ..campaign.execution import devices, execute
from ..campaign.runs import Run, check
from ..tables.cells import at, spread
from ..tables.finetune import called
from .bench import rounded

SPLIT = "val"
TOLD = (*PROTOCOLS, "folding_percent")
Row = dict[str, Any]


def run(args: argparse.Namespace) -> None:
    """Evaluate and train, print a line for each, and write ``--output``."""
    bundle = launching.called(args.bundle)
    check(bundle, {})
    settings = yaml.safe_load(launching.config(bundle, "train.yaml").read_text("utf-8"))
    content = about(args, settings) | {"bundle": bundle, "init": args.init}
    weights, plans = find(args.init, bundle), planned(args, settings)
    with launching.terminable(), kept(args.runs) as output:
        rows = [*untrained(bundle, weights, args, output), *trained(bundle, plans, args, output)]
    if args.output is not None:
        write_json(args.output, rounded(content | {"rows": rows}))


def about(args: argparse.Namespace, settings: Mapping[str, Any]) -> Row:
    """What is compared on what; raise InputError for a data set that has no such pairs, or no labels to compare."""
    data = prepared.read(args.dataset)
    if not data.evaluated_labels:
        raise InputError(f"{args.dataset}: it evaluates no labels, so nothing can be compared; prepare it with labels.")
    drawn = pairs_of(data, "train", settings["pairing"], args.share, args.seeds[0])
    pairs = {"train": drawn, SPLIT: data.pairs(SPLIT)}
    return {
        "benchmark": "finetune",
        "dataset": data.name,
        "labels": [data.labels.get(label, str(label)) for label in data.evaluated_labels],
        **{split: _counts(each) for split, each in pairs.items()},
        "steps_an_epoch": -(-len(pairs["train"]) // settings["batch_size"]),
        "seeds": [*dict.fromkeys(args.seeds)],
    }


def _counts(pairs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {"pairs": len(pairs), "subjects": len({pair["subject"] for pair in pairs})}


def find(init: str, bundle: str) -> Path:
    """The file of the weights; raise InputError if there is none, and for a path: trainings are called by the name."""
    if "/" in init or Path(init).is_file():
        raise InputError(f"--init {init}: a path; give weights by their name: NAME, BUNDLE or BUNDLE:NAME.")
    return find_weights(init, launching.bundle_folder(bundle)).resolve()


def planned(args: argparse.Namespace, settings: Mapping[str, Any]) -> list[Row]:
    """What each training begins with, and by what it is trained."""
    begins: list[Row] = [{"init": None, "learning_rate": settings["learning_rate"]}]
    begins += [{"init": args.init, "learning_rate": rate} for rate in dict.fromkeys(args.rates)]
    return [{"epochs": epochs, **begin} for begin in begins for epochs in dict.fromkeys(args.epochs)]


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """The folder of the trainings, or one that goes with the program."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def untrained(bundle: str, weights: Path, args: argparse.Namespace, output: Path) -> Iterator[Row]:
    """No registration, the weights as they are, and these with refinement."""
    file = launching.config(bundle, "evaluate.yaml")
    data = launching.of_dataset(bundle, args.dataset) | {"checkpoint": weights, "split": SPLIT}
    for steps in (0, args.refine_steps):
        folder = (output / "untrained" / f"refine{steps}").resolve()
        with launching.exclusive(folder / "log.txt") as log:
            asked = data | {"output_dir": folder, "refine_steps": steps}
            launching.launch("evaluation", launching.bundle_call("evaluation", [file], asked), log, devices(1)[0])
        found = json.loads((folder / "metrics.json").read_text("utf-8"))
        if not steps:
            still = {protocol: _means(found["undeformed"][protocol]) for protocol in PROTOCOLS}
            yield told({"init": None, "epochs": 0, "registered": False}, still)
        yield told({"init": args.init, "epochs": 0, "refine_steps": steps}, figures_of([found]))


def _means(protocol: Mapping[str, Any]) -> Row:
    return {name: {"mean": each["mean"]} for name, each in protocol.items()}  # their spread is over pairs


def trained(bundle: str, plans: Sequence[Row], args: argparse.Namespace, output: Path) -> Iterator[Row]:
    """What each training comes to, of all seeds."""
    for plan in plans:
        settings: Row = {"max_epochs": plan["epochs"], "validation_interval": plan["epochs"]}
        settings |= {key: plan[key] for key in ("init", "learning_rate") if plan["init"]}
        settings |= {"training_share": args.share} if args.share != 1 else {}
        runs = [Run(bundle, settings, seed) for seed in dict.fromkeys(args.seeds)]
        for each in runs:
            execute(each, output, args.dataset, SPLIT, devices(1)[0])
        yield told(plan, figures(runs, output))


def told(what: Row, found: Mapping[str, Any]) -> Row:
    """A row, which is printed."""
    row = what | {key: found[key] for key in TOLD if key in found}
    trained = f", epochs {row['epochs']}, learning rate {row['learning_rate']:g}" if row["epochs"] else ""
    dice = ", ".join(f"{spread(at(row, f'{protocol}/dsc'))} % {protocol}" for protocol in PROTOCOLS)
    print(f"{called(row)}{trained}: DSC {dice}".replace("`", ""), flush=True)
    return row
