"""The files of an evaluation: metrics.csv, patients.csv, metrics.json, sparsification.csv, examples.npz, and
label_sparsification.csv of a network that predicts labels.

A network's evaluator and the classical baselines both end in :func:`write_evaluation`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.pairs import PreparedPairs
from ..files import file_hash, write_bytes, write_csv, write_json
from ..metrics import LABEL_CURVES, PROTOCOLS, Curve, LabelCurves, mean_by_subject, not_computed, summary

Row = dict[str, Any]
IDENTITY = ("id", "subject", "group", "slice")
ENDPOINT = ("endpoint_error", "undeformed_endpoint_error", "endpoint_error_image", "undeformed_endpoint_error_image")
TRUTH = (*ENDPOINT, "variance_spearman", "score_auroc")
PLAIN = ("folding_percent", "sd_log_jacobian", "ause", "aurg", "spearman", "error_auroc", "error_auroc_band")
IMAGE = ("mse", "nlcc", "mi")


def about_evaluation(
    dataset: PreparedPairs,
    bundle: str,
    labels: Sequence[int],
    checkpoint: str | Path | None = None,
    parameters: int | None = None,
    members: Sequence[str | Path] | None = None,
) -> dict[str, Any]:
    """Return what metrics.json begins with; a method that is not trained has no weights and parameters (null).

    An ensemble has ``members`` instead, the weights of each, in its order.
    """
    about = {
        "dataset": dataset.dataset.name,
        "split": dataset.split,
        "bundle": bundle,
        "checkpoint": str(checkpoint) if checkpoint else None,
        "checkpoint_sha256": file_hash(checkpoint) if checkpoint else None,
        "parameters": parameters,
        "labels": list(labels),
    }
    if members:
        hashes = {path: file_hash(path) for path in set(members)}  # dropout takes every member from one file
        about["members"] = [{"checkpoint": str(path), "checkpoint_sha256": hashes[path]} for path in members]
    return about


def write_evaluation(
    output_dir: Path,
    rows: Sequence[Row],
    curves: Sequence[Curve],
    examples: Mapping[str, Mapping[str, NDArray]],
    map_name: str | None,
    about: Mapping[str, Any],
    judged: tuple[str | None, LabelCurves, LabelCurves] | None = None,
) -> dict[str, Any]:
    """Write all files of an evaluation and return what metrics.json says.

    Args:
        output_dir: made if it is not there.
        rows: of the pairs, in the split's order, as ``score_example`` makes them.
        curves: their sparsification curves.
        examples: pair id -> arrays of the pairs to keep whole.
        map_name: what the uncertainty map is; None for a method without one.
        about: what was evaluated (`about_evaluation`).
        judged: of a method that predicts labels: the map that ranked their errors, its curves as means over the pairs,
            and those over the voxels of all pairs together.

    Raises:
        InputError: if a file cannot be written.
    """
    result, names = summarise(rows, about), metric_names(rows)
    write_csv(output_dir / "metrics.csv", rows, [*IDENTITY, *names])
    write_csv(output_dir / "patients.csv", patients(rows), ["subject", "group", "pairs", *names])
    write_sparsification(output_dir / "sparsification.csv", curves)
    write_examples(output_dir / "examples.npz", examples, map_name)
    if judged is not None:
        write_label_sparsification(output_dir / "label_sparsification.csv", judged[1])
        result["label_sparsification"] = label_summary(*judged, len(rows))
    write_json(output_dir / "metrics.json", result)  # last: a folder without it is unfinished
    return result


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Return the metrics among the columns of ``rows``; the truth, which some pairs may lack, comes last."""
    names = dict.fromkeys(name for row in rows for name in row if name not in IDENTITY)
    return [name for name in names if name not in TRUTH] + [name for name in TRUTH if name in names]


def values_of(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """Return one column, NaN where a row lacks it."""
    return np.array([row.get(name, np.nan) for row in rows], dtype=float)


def patients(rows: Sequence[Row]) -> list[Row]:
    """Average the pairs of each subject, NaN left out: rows of subject, group, pairs and every metric."""
    subjects = [str(row["subject"]) for row in rows]
    table = {row["subject"]: {"subject": row["subject"], "group": row["group"], "pairs": 0} for row in rows}
    for row in rows:
        table[row["subject"]]["pairs"] += 1
    for name in metric_names(rows):
        for subject, mean in mean_by_subject(values_of(rows, name), subjects).items():
            table[subject][name] = mean
    return list(table.values())


def summarise(rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of metrics.json: ``about`` it, then means, deviations and counts over the pairs.

    ``not_computed`` counts the pairs without each metric, ``failed`` those without a finite field, of which nothing
    could be computed. ``seconds_per_pair`` is the median.
    """
    columns = {name: values_of(rows, name) for name in metric_names(rows)}
    seconds = columns.pop("seconds")
    missing = {name: not_computed(values) for name, values in columns.items()}
    return {
        **about,
        "pairs": len(rows),
        "failed": missing["folding_percent"],
        "subjects": len({row["subject"] for row in rows}),
        "protocols": _protocols(columns, ""),
        "undeformed": _protocols(columns, "undeformed/"),
        **{name: summary(columns[name])["mean"] for name in PLAIN},
        "seconds_per_pair": _median(seconds),
        "not_computed": {name: count for name, count in missing.items() if count},
        "truth": {name: summary(columns[name]) for name in TRUTH if name in columns},
        "image": {name: summary(columns[name]) for name in IMAGE},
        **({"label": label} if (label := _group(columns, "label/")) else {}),
    }


def _median(values: NDArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else nan


def _protocols(columns: Mapping[str, NDArray], prefix: str) -> dict[str, dict[str, Any]]:
    return {protocol: _group(columns, f"{prefix}{protocol}/") for protocol in PROTOCOLS}


def _group(columns: Mapping[str, NDArray], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): summary(values) for name, values in columns.items() if name.startswith(prefix)}


def write_sparsification(path: Path, curves: Sequence[Curve]) -> None:
    """Write the mean over the pairs of each curve, empty for a method without a map."""
    names = ("fraction", "model", "oracle", "random")
    known = [curve for curve in curves if not np.isnan(curve.ause)] or curves[:1]
    means = {name: np.mean([getattr(curve, name) for curve in known], axis=0) for name in names}
    rows = [{name: float(means[name][i]) for name in names} for i in range(len(means["fraction"]))]
    write_csv(path, rows, names)


def label_summary(ranked_by: str | None, curves: LabelCurves, pooled: LabelCurves, pairs: int) -> dict[str, Any]:
    """Return the areas of metrics.json, the map that ranked, and the ``pairs`` with and without curves."""
    areas = {name: {"ause": curves.ause[name], "ause_pooled": pooled.ause[name]} for name in LABEL_CURVES}
    return {"ranked_by": ranked_by, "pairs": curves.pairs, "left_out": pairs - curves.pairs, **areas}


def write_label_sparsification(path: Path, curves: LabelCurves) -> None:
    """Write the curves, means over the pairs and their foreground classes."""
    columns = {"fraction": curves.fraction, **curves.curves}
    rows = [dict(zip(columns, map(float, values), strict=True)) for values in zip(*columns.values(), strict=True)]
    write_csv(path, rows, list(columns))


def write_examples(path: Path, examples: Mapping[str, Mapping[str, NDArray]], map_name: str | None) -> None:
    """Write id -> arrays as ``<n>/<name>``, and ``meta``: a JSON string of the ids and the map's name.

    A pair without a finite field, which no figure can show, is left out; metrics.json counts it as failed.
    """
    examples = {name: each for name, each in examples.items() if np.isfinite(each["ddf"]).all()}
    arrays = {f"{n}/{name}": array for n, each in enumerate(examples.values()) for name, array in each.items()}
    meta = json.dumps({"ids": list(examples), "uncertainty": map_name})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=np.array(meta), **arrays)
    write_bytes(path, buffer.getvalue())
