"""Several seeds of one method as one evaluation: means, with their spread over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np

from common.engines.evaluation_tables import PLAIN
from common.metrics import summary as statistics
from tools.report.columns import value
from tools.report.evaluations import Evaluation
from tools.report.tabular import Table

GROUPS = ("truth", "image", "label")  # tables of metrics.json that not every evaluation has
IDENTITY = ("id", "subject", "group", "slice")


def pool(name: str, seeds: Sequence[Evaluation]) -> Evaluation:
    """Return one evaluation of the seeds' means.

    Its summary has mean and SD over the seeds, the SD NaN for one seed, and ``n``, the pairs behind the means. A
    pair's value is the mean over the seeds, NaN if one seed lacks it. The examples are the first seed's.
    """
    first = seeds[0]
    curves = _curves([each.sparsification for each in seeds])
    label_curves = _curves([each.label_sparsification for each in seeds])
    return Evaluation(first.folder, name, _summary(seeds), _pairs(seeds), curves, first.examples, label_curves)


def _summary(seeds: Sequence[Evaluation]) -> dict[str, Any]:
    first = seeds[0].summary
    plain = (*PLAIN, "seconds_per_pair")
    return first | {
        "seeds": len(seeds),
        "protocols": {protocol: _tables(seeds, "protocols", protocol) for protocol in first["protocols"]},
        # what precedes any registration is the same for every seed
        "undeformed": _without_spread(first.get("undeformed") or {}),
        **{group: _tables(seeds, group) for group in GROUPS if first.get(group)},
        **({"label_sparsification": _label_areas(seeds)} if first.get("label_sparsification") else {}),
        **{key: _over_seeds(seeds, (key,)) for key in plain},
        "not_computed": _most(seeds),
    }


def _tables(seeds: Sequence[Evaluation], *path: str) -> dict[str, dict[str, Any]]:
    node: Any = seeds[0].summary
    for key in path:
        node = node.get(key) or {}
    return {metric: _over_seeds(seeds, (*path, metric)) for metric in node}


def _label_areas(seeds: Sequence[Evaluation]) -> dict[str, Any]:
    first = seeds[0].summary["label_sparsification"]
    areas = {
        curve: {"ause": _over_seeds(seeds, ("label_sparsification", curve, "ause"))}
        for curve, each in first.items()
        if isinstance(each, Mapping)
    }
    return {**first, **areas}


def _over_seeds(seeds: Sequence[Evaluation], path: tuple[str, ...]) -> dict[str, Any]:
    """Return mean and SD over the seeds of one number of metrics.json, and the fewest pairs behind it."""
    found = [value(each.summary, path) for each in seeds]
    over = statistics([each.mean for each in found])
    counts = [each.n for each in found if each.n is not None]
    return {"mean": over["mean"], "sd": over["sd"], "n": min(counts) if counts else None}


def _without_spread(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        protocol: {metric: dict(each) | {"sd": nan} for metric, each in table.items()}
        for protocol, table in tables.items()
    }


def _most(seeds: Sequence[Evaluation]) -> dict[str, int]:
    """Return, by metric, the pairs without it in the seed with most of them."""
    names = dict.fromkeys(name for each in seeds for name in each.summary.get("not_computed") or {})
    return {name: max((each.summary.get("not_computed") or {}).get(name, 0) for each in seeds) for name in names}


def _pairs(seeds: Sequence[Evaluation]) -> Table:
    first = seeds[0]
    columns = {}
    for name in first.pairs.columns:
        if name in IDENTITY:
            columns[name] = first.pairs.text(name)
        else:
            means = np.mean([each.values(name, first.ids) for each in seeds], axis=0)
            columns[name] = ["" if isnan(mean) else repr(float(mean)) for mean in means]
    return Table(first.pairs.path, columns)


def _curves(found: Sequence[Table | None]) -> Table | None:
    tables = [each for each in found if each is not None]
    if not tables:
        return None
    means = {name: np.mean([each.numbers(name) for each in tables], axis=0) for name in tables[0].columns}
    return Table(
        tables[0].path, {name: ["" if isnan(x) else repr(float(x)) for x in row] for name, row in means.items()}
    )
