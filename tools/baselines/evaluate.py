"""Register and score the pairs of a split with an engine, and write what a bundle's evaluation writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from common.data import prepared
from common.data.pairs import PreparedPairs
from common.engines.evaluation_scores import Scored, examples_of, score_example
from common.engines.evaluation_tables import about_evaluation, write_evaluation
from common.engines.evaluator import headline
from common.errors import InputError
from common.files import write_bytes
from common.spatial import warp

from .fields import Fields
from .settings import parse
from .worker import Failed, Registered, Worker

EXAMPLES = 4


@dataclass(frozen=True)
class Request:
    """What to run on what; ``override`` are the texts KEY=VALUE, ``limit`` pairs are spread evenly over the others."""

    name: str
    dataset: Path
    split: str
    output: Path
    override: list[str] = field(default_factory=list)
    timeout: float = 600.0
    limit: int | None = None
    pairing: str = "listed"
    package: str = __package__

    @property
    def engine(self) -> str:
        """The engine's module."""
        return f"{self.package}.{self.name}"


def evaluate(request: Request) -> dict[str, Any]:
    """Register, score and write; return what metrics.json says. Pairs that fail are named on stderr.

    The fields are kept until every pair has one, so that the same command goes on where it was stopped, or tries
    again what failed.

    Raises:
        InputError: settings, data or output that cannot be used, an engine that cannot be started, or that could
            not register a single pair.
    """
    engine = import_module(request.engine)
    settings = parse(engine.Settings, request.override)
    dataset = PreparedPairs(request.dataset, request.split, pairing=request.pairing)
    write_bytes(request.output / ".writable", b"")  # fails now rather than after the work
    (request.output / ".writable").unlink()
    version = _version(engine.PACKAGE)
    fields = Fields(request.output / "fields", f"{request.name} {version} {settings}")
    labels = dataset.dataset.evaluated_labels
    chosen = examples_of(request.limit or len(dataset), len(dataset))
    kept = {chosen[number] for number in examples_of(EXAMPLES, len(chosen))}
    rows, curves, examples = [], [], {}
    with Worker(request.engine, settings, request.timeout) as worker:
        for index, scored in _scored(request.name, dataset, chosen, worker, fields, labels):
            rows.append(scored.row)
            curves.append(scored.curve)
            if index in kept:
                examples[scored.row["id"]] = scored.arrays
    about = about_evaluation(dataset, request.name, labels)
    about |= {"engine": f"{engine.PACKAGE} {version}", "settings": asdict(settings), "threads": 1}
    summary = write_evaluation(request.output, rows, curves, examples, None, about)
    if not summary["failed"]:
        fields.remove()
    print(headline(summary, request.output))
    return summary


def _scored(
    name: str, dataset: PreparedPairs, chosen: list[int], worker: Worker, fields: Fields, labels: tuple[int, ...]
) -> Iterator[tuple[int, Scored]]:
    reasons = []
    for index in tqdm(chosen, desc=name, unit="pair", disable=None):
        images = [dataset[index][key][0].numpy() for key in prepared.IMAGE_KEYS]
        try:
            result = _registered(*images, worker, fields)
        except Failed as reason:
            reasons.append(f"{dataset.pairs[index]['id']}: {reason}")
            tqdm.write(f"{name} failed on {reasons[-1]}", file=sys.stderr)
            yield index, score_example(dataset, index, None, None, labels, nan)
        else:
            prediction = {"ddf": result.ddf, "warped": _warped(images[0], result.ddf)}
            yield index, score_example(dataset, index, prediction, None, labels, result.seconds)
    if len(reasons) == len(chosen):
        raise InputError(f"{name}: not one of {len(chosen)} pairs could be registered; the last: {reasons[-1]}")


def _registered(moving: NDArray, fixed: NDArray, worker: Worker, fields: Fields) -> Registered:
    result = fields.load(moving, fixed)
    if result is None:
        result = worker.register(moving, fixed)
        fields.save(moving, fixed, result)
    return result


def _warped(moving: NDArray[np.float32], ddf: NDArray[np.float32]) -> NDArray[np.float32]:
    return warp(torch.from_numpy(moving)[None, None], torch.from_numpy(ddf)[None])[0, 0].numpy()


def _version(package: str) -> str:
    """Of an installed package; the worker says what to do about one that is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
