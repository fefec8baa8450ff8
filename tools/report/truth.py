"""What a prepared data set adds to a report: its licence and, for phantoms, the truth of the example pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from common.data.pairing import PAIRINGS, pairs_of
from common.data.prepared import TRUTH_KEYS, Dataset, load_arrays
from common.errors import InputError

from .evaluations import Evaluation
from .examples import Example


def check_dataset(dataset: Dataset, evaluations: Sequence[Evaluation]) -> None:
    """Refuse a data set that the evaluations were not made on.

    Raises:
        InputError: name, split or a pair id do not agree.
    """
    first = evaluations[0]
    if dataset.name != first.summary["dataset"]:
        raise InputError(
            f"{dataset.root}: data set {dataset.name!r}, but {first.folder} evaluates {first.summary['dataset']!r}."
        )
    known = _pairs(dataset, first)
    unknown = next((each for each in first.ids if each not in known), None)
    if unknown is not None:
        raise InputError(f"{dataset.root}: no pair {unknown!r} in split {first.summary['split']!r}; prepared again?")


def _pairs(dataset: Dataset, evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return id -> pair of the pairing that was evaluated; where none has its pairs, of those listed."""
    found: list[dict[str, dict[str, Any]]] = []
    for pairing in PAIRINGS:
        with suppress(InputError):  # not every data set has every pairing
            found.append({pair["id"]: pair for pair in pairs_of(dataset, evaluation.summary["split"], pairing)})
            if set(evaluation.ids) <= found[-1].keys():
                return found[-1]
    return found[0] if found else {}


def with_truth(dataset: Dataset, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the evaluations, their examples with the truth that ``dataset`` holds of them.

    Raises:
        InputError: an example is not of the data set, or not on its grid.
    """
    pairs = _pairs(dataset, evaluations[0])
    return [
        replace(each, examples=[_known(dataset, pairs, each, example) for example in each.examples])
        for each in evaluations
    ]


def _known(dataset: Dataset, pairs: Mapping[str, dict], evaluation: Evaluation, example: Example) -> Example:
    if example.id not in pairs:
        raise InputError(f"{evaluation.folder / 'examples.npz'}: pair {example.id!r} is not in {dataset.root}.")
    arrays = load_arrays(dataset, pairs[example.id], TRUTH_KEYS)
    for key, array in arrays.items():
        if array.shape[-example.fixed.ndim :] != example.fixed.shape:
            raise InputError(
                f"{dataset.root}: {key} of pair {example.id!r} is {list(array.shape)}, but the evaluated "
                f"image {list(example.fixed.shape)}; prepared again?"
            )
    return example.with_truth(arrays)
