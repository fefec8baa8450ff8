"""Evaluate the rows, pool their seeds, hold them against the papers and one another, and write page and table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.data.prepared import read
from common.errors import InputError
from common.files import write_bytes
from common.options import split_pairs
from tools.campaign.launching import LaunchFailed, of_pairing, terminable
from tools.report import table, words
from tools.report.comparisons import DEFAULT_REFERENCE, all_tests, choose_reference
from tools.report.evaluations import Evaluation, read_evaluation

from .columns import shown_of, to_csv
from .evaluate import Setting, evaluated
from .page import Comparison, Failure, render
from .pool import pool
from .published import Published, beside, notes, published_for, with_note
from .rows import BASELINES, Row, parse_rows


def compare(
    rows: Sequence[str],
    dataset: Path,
    split: str,
    pairing: str,
    members: int,
    output: Path,
    runs: Path | None,
    reference: str | None,
    pairs: Sequence[str],
    title: str | None,
    override: Sequence[str],
    command: Sequence[str],
) -> int:
    """Evaluate what is not, write page and CSV, print the table; return 1 if a row failed.

    Args:
        rows, dataset, split, pairing, members, output, runs, reference, pairs, title, override: as the program's.
        command: the call that makes the page, as it tells it.

    Raises:
        InputError: a row, pair, data set or option that cannot be used, or no row that could be evaluated.
    """
    about, known = read(dataset), parse_rows(rows, runs, members)
    setting = Setting(about, split, output, pairs, _overrides(override, pairing))
    _check(reference, setting, known)
    with terminable():
        seeds, failures = _evaluations(known, setting)
    if not seeds:
        raise InputError(f"none of the {len(known)} rows could be evaluated; the first: {failures[0].reason}")
    _write(_comparison(known, _pooled(known, seeds), seeds, failures, setting, reference, title, command), output)
    return int(bool(failures))


def _check(reference: str | None, setting: Setting, rows: Sequence[Row]) -> None:
    names = [row.name for row in rows]
    if reference is not None and reference not in names:
        raise InputError(f"--against {reference!r}: not among the rows: {', '.join(names)}.")
    if unknown := [each for each in setting.pairs if each not in setting.ids]:
        raise InputError(
            f"--show {unknown[0]!r}: not in split {setting.split!r}, whose ids are like {setting.ids[0]!r}."
        )


def _overrides(texts: Sequence[str], pairing: str) -> dict[str, str]:
    """Return what is overridden in every evaluation; the pairs as listed are not."""
    found = of_pairing(pairing) | split_pairs("--override", texts)
    return {key: value for key, value in found.items() if (key, value) != ("pairing", "listed")}


def _evaluations(rows: Sequence[Row], setting: Setting) -> tuple[dict[str, list[Evaluation]], list[Failure]]:
    """Return row -> its seeds' evaluations, and what failed; each failure is a line on stderr."""
    seeds: dict[str, list[Evaluation]] = {}
    failures = []
    for row in rows:
        for member in row.members:
            try:
                folder = evaluated(row, member, setting)
                seeds.setdefault(row.name, []).append(read_evaluation(folder))
                print(f"{row.name}, {member.label}: {folder}", flush=True)
            except LaunchFailed as error:
                failures.append(Failure(row.name, member.label, error.reason, str(error.log)))
                print(f"{failures[-1]} ({error.log})", file=sys.stderr, flush=True)
            except InputError as error:
                failures.append(Failure(row.name, member.label, str(error)))
                print(failures[-1], file=sys.stderr, flush=True)
    return seeds, failures


def _comparison(
    rows: Sequence[Row],
    pooled: Sequence[Evaluation],
    seeds: dict[str, list[Evaluation]],
    failures: list[Failure],
    setting: Setting,
    wanted: str | None,
    title: str | None,
    command: Sequence[str],
) -> Comparison:
    published = published_for(setting.dataset)
    evaluations = [_with_papers(each, published) for each in pooled]
    _, methods = table.split_undeformed(evaluations)
    reference = _reference(methods or evaluations, wanted)
    tests = {metric: found for metric, found in all_tests(methods, reference).items() if found}
    groups = {row.name: row.group for row in rows}
    shown = setting.pairs, title, command
    return Comparison(evaluations, seeds, groups, reference, tests, setting.dataset, published, failures, *shown)


def _reference(methods: Sequence[Evaluation], wanted: str | None) -> Evaluation:
    """Return what the others are tested against: a reference that failed is told as a failure, not as a bad name."""
    variants = [each.name for each in methods if each.summary["bundle"] == DEFAULT_REFERENCE]
    there = wanted if wanted in [each.name for each in methods] else None
    return choose_reference(methods, there or next(iter(variants), None))


def _pooled(rows: Sequence[Row], seeds: dict[str, list[Evaluation]]) -> list[Evaluation]:
    """Return an evaluation per row that has any; where one is an ensemble, with the trainings that each takes."""
    found = [row for row in rows if row.name in seeds]
    counted = any(row.kind for row in found)
    pooled = []
    for row in found:
        one = pool(row.name, seeds[row.name])
        trainings = row.members[0].ensemble.trainings if row.members[0].ensemble else 1
        has_them = counted and row.method not in BASELINES
        told = {"row": row.key} | ({"trainings": trainings} if has_them else {})
        pooled.append(replace(one, summary=one.summary | told))
    return pooled


def _with_papers(evaluation: Evaluation, published: Published) -> Evaluation:
    summary = evaluation.summary | {"papers": beside(evaluation, published)}
    row = summary["row"]
    summary |= {"paper_source": published.source(row), "paper_table": published.table.get(row, {})}
    for path, note in notes(evaluation, published).items():
        summary = with_note(summary, path, note)
    return replace(evaluation, summary=summary)


def _write(comparison: Comparison, output: Path) -> None:
    write_bytes(output / "compare.html", render(comparison).encode())
    write_bytes(output / "compare.csv", to_csv(comparison.evaluations, comparison.groups, comparison.tests).encode())
    _, methods = table.split_undeformed(comparison.evaluations)
    print("\n".join(["", *words.headline(methods or comparison.evaluations, comparison.reference), ""]))
    shown = shown_of(comparison.evaluations)
    print(table.to_text(table.build(comparison.evaluations, shown)), end="\n\n")
    print(output / "compare.html")
