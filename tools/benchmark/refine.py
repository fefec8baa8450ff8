"""Dice against seconds: a bundle refined by ever more steps, and classical methods, on the same pairs in one run.

Seconds are those of the processor, of one thread: a loaded machine does not change them much.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from common.collection.find import find_bundle
from common.data.pairs import PreparedPairs
from common.engines import BatchInferer, RegistrationEvaluator
from common.files import write_json
from common.registration.bundle import open_bundle

from ..baselines.evaluate import Request, evaluate
from .bench import bundle_and_weights, machine, rounded

PROTOCOLS = ("published", "standard")


def run(args: argparse.Namespace) -> None:
    """Evaluate, print a line for each, and write ``--output`` and ``--figure``."""
    torch.set_num_threads(1)
    points: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.bundles:
            points.update(of_seeds(name, args, Path(folder)))
        for name in args.opponents:
            request = Request(name, args.dataset, args.split, Path(folder) / name, pairing=args.pairing)
            points[name] = [point(evaluate(request), None)]
    about = PreparedPairs(args.dataset, args.split, pairing=args.pairing)
    content = {
        "benchmark": "refine",
        "machine": machine(torch.device("cpu")),
        "threads": 1,
        "dataset": about.dataset.name,
        "split": args.split,
        "pairs": len(about),
        "rate": args.rate,
        "smooth_weight": args.smooth_weight,
        "points": points,
    }
    if args.output is not None:
        write_json(args.output, rounded(content))
    if args.figure is not None:
        from .refine_figure import draw  # matplotlib

        draw(content, args.figure)


def of_seeds(name: str, args: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The points of a bundle by its name; of a folder of ``seed_*``, their means and the deviations of Dice."""
    seeds = sorted(path / "train" for path in Path(name).glob("seed_*"))
    if len(seeds) < 2:
        return {name: refined(name, args, folder)}
    rows = zip(*(refined(str(each), args, folder) for each in seeds), strict=True)
    return {f"{find_bundle(seeds[0]).folder.name}, {len(seeds)} seeds": [joined(each) for each in rows]}


def joined(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each number over points of several seeds, and of Dice also the standard deviation."""
    mean = {key: statistics.fmean(point[key] for point in points) for key in points[0]}
    spread = {f"{key}_sd": statistics.stdev(point[key] for point in points) for key in PROTOCOLS}
    return mean | {"steps": points[0]["steps"]} | spread


def refined(name: str, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """What a bundle, or BUNDLE=NAME with these of its weights, comes to after each number of steps."""
    own, settings = bundle_and_weights(name)
    given = {"refine_rate": args.rate, "refine_smooth_weight": args.smooth_weight}
    chosen = {key: value for key, value in given.items() if value is not None}
    data, found = PreparedPairs(args.dataset, args.split, pairing=args.pairing), []
    for steps in args.steps:
        bundle = open_bundle(find_bundle(own), "cpu", refine_steps=steps, **settings, **chosen)
        output = Path(tempfile.mkdtemp(dir=folder))
        inferer = BatchInferer(16 if data.spatial_dims == 2 else 1, time.thread_time)
        evaluator = RegistrationEvaluator("cpu", bundle.network, data, output, bundle=name, inferer=inferer, examples=1)
        evaluator.run()
        found.append(point(evaluator.summary, steps))
    return found


def point(summary: dict[str, Any], steps: int | None) -> dict[str, Any]:
    """The numbers of an evaluation that are told."""
    dice = {protocol: summary["protocols"][protocol]["dsc"]["mean"] for protocol in PROTOCOLS}
    hd95 = {f"{protocol}_hd95": summary["protocols"][protocol]["hd95"]["mean"] for protocol in PROTOCOLS}
    error = summary["truth"].get("endpoint_error")
    return {
        **({} if steps is None else {"steps": steps}),
        "seconds": summary["seconds_per_pair"],
        **dice,
        **hd95,
        "folding_percent": summary["folding_percent"],
        **({"endpoint_error": error["mean"]} if error else {}),
    }
