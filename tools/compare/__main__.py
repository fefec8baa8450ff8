"""``python -m tools.compare --dataset DIR --split val --output OUT ROW [ROW ...]``: every method on one page.

    python -m tools.compare --dataset data/acdc --output results/acdc undeformed elastix vxm_mse vxm_hetero
    python -m tools.compare --dataset data/acdc --output results/acdc --runs runs elastix ants
    python -m tools.compare --dataset data/hippocampus --output results/hippocampus --pairing atlas vxm_weak \\
      "vxm_weak+bootstrap=runs/vxm_weak/training_share=0.9/seed_*/train/model.pt" vxm_weak+dropout=WEIGHTS.pt \\
      vxm_weak+snapshot=runs/vxm_weak/snapshot/seed_0/train/snapshots

A ROW is a bundle (its shipped weights), BUNDLE=WEIGHTS.pt (once more for each further seed), an ensemble
BUNDLE+KIND=MEMBERS (KIND is bootstrap, dropout or snapshot; MEMBERS a file, a folder or a quoted pattern), or a
classical baseline; --runs adds every finished run of a campaign. What is evaluated already is not evaluated again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.data.pairing import PAIRINGS
from common.data.prepared import SPLITS, Dataset, read
from common.errors import InputError, say_in_one_line
from common.files import write_bytes
from tools.report import table, words
from tools.report.comparisons import DEFAULT_REFERENCE, all_tests, choose_reference
from tools.report.evaluations import Evaluation, read_evaluation

from .columns import shown_of, to_csv
from .evaluate import RowFailed, Setting, evaluated
from .page import Comparison, Failure, render
from .pool import pool
from .published import Published, beside, notes, published_for, with_note
from .rows import BASELINES, Row, parse_rows

PROGRAM = "python -m tools.compare"


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    described.add_argument(
        "rows", nargs="*", metavar="ROW", help="a bundle, BUNDLE=WEIGHTS.pt, BUNDLE+KIND=MEMBERS, or a baseline"
    )
    described.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="a prepared data set")
    described.add_argument("--split", choices=SPLITS, default="val")
    described.add_argument("--pairing", choices=PAIRINGS, help="which pairs of the split (default: as listed)")
    described.add_argument("--members", type=int, default=8, metavar="N", help="of each ensemble (default: 8)")
    described.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="where compare.html, compare.csv and the evaluations go",
    )
    described.add_argument("--runs", type=Path, metavar="RUNS", help="add the runs in RUNS/<bundle>/<variant>/seed_<k>")
    described.add_argument(
        "--reference",
        metavar="NAME",
        help="the row that the others are tested against (default: vxm_mse's first, else the first)",
    )
    described.add_argument("--pairs", nargs="+", default=[], metavar="ID", help="the pairs to show")
    described.add_argument("--title", help="the page's title")
    described.add_argument(
        "--override",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of the bundles' evaluate.yaml, such as device=cpu",
    )
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate what is not, write page and CSV, print the table; return 1 if a row failed.

    Raises:
        InputError: a row, pair, data set or option that cannot be used, or no row that could be evaluated.
    """
    say_in_one_line()
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_intermixed_args(given)
    dataset = read(options.dataset)
    rows = parse_rows(options.rows, options.runs, options.members)
    setting = Setting(dataset, options.split, options.output, options.pairs, _overrides(options))
    _check(options, setting, rows)
    seeds, failures = _evaluations(rows, setting)
    if not seeds:
        raise InputError(f"none of the {len(rows)} rows could be evaluated; the first: {failures[0].reason}")
    comparison = _comparison(rows, seeds, failures, dataset, options, [*PROGRAM.split(), *given])
    _write(comparison, options.output)
    return int(bool(failures))


def _check(options: argparse.Namespace, setting: Setting, rows: Sequence[Row]) -> None:
    if options.members < 2:
        raise InputError(f"--members {options.members}: an ensemble has 2 or more.")
    names = [row.name for row in rows]
    if options.reference is not None and options.reference not in names:
        raise InputError(f"--reference {options.reference!r}: not among the rows: {', '.join(names)}.")
    if unknown := [each for each in options.pairs if each not in setting.ids]:
        raise InputError(
            f"--pairs {unknown[0]!r}: not in split {options.split!r}, whose ids are like {setting.ids[0]!r}."
        )


def _overrides(options: argparse.Namespace) -> dict[str, str]:
    """Return what is overridden in every evaluation; the pairs as listed are not."""
    parts = [text.partition("=") for text in options.override]
    if wrong := ["".join(each) for each in parts if not (each[0] and each[1])]:
        raise InputError(f"--override {wrong[0]}: give KEY=VALUE.")
    found = {key: value for key, _, value in parts} | ({"pairing": options.pairing} if options.pairing else {})
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
            except (RowFailed, InputError) as error:
                failures.append(Failure(row.name, member.label, str(error), str(getattr(error, "log", None) or "")))
                where = f" ({failures[-1].log})" if failures[-1].log else ""
                print(f"{row.name}, {member.label} failed: {error}{where}", file=sys.stderr, flush=True)
    return seeds, failures


def _comparison(
    rows: Sequence[Row],
    seeds: dict[str, list[Evaluation]],
    failures: list[Failure],
    dataset: Dataset,
    options: argparse.Namespace,
    command: list[str],
) -> Comparison:
    published = published_for(dataset)
    evaluations = [_with_papers(each, published) for each in _pooled(rows, seeds)]
    _, methods = table.split_undeformed(evaluations)
    names = [each.name for each in methods]
    # a reference that failed is told as a failure; the default takes its place
    wanted = options.reference if options.reference in names else None
    variants = [each.name for each in methods if each.summary["bundle"] == DEFAULT_REFERENCE]
    reference = choose_reference(methods or evaluations, wanted or next(iter(variants), None))
    groups = {row.name: row.group for row in rows}
    tests = {metric: found for metric, found in all_tests(methods, reference).items() if found}
    return Comparison(
        evaluations,
        seeds,
        groups,
        reference,
        tests,
        dataset,
        published,
        failures,
        options.pairs,
        options.title,
        command,
    )


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


if __name__ == "__main__":
    sys.exit(main())
