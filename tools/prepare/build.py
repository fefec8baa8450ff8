"""From cases to a finished data set: guard the output folder, convert, put the splits together, write."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.data import prepared
from common.data.prepared import SPLITS, Dataset, Pairs
from common.errors import InputError
from common.files import write_bytes

from .aligning import told
from .cases import STAMPS, Case, Convert, Result, Settings, convert_all, files_of, refuse_repeated
from .splitting import refuse_shared, split_subjects

FOLDERS = ("images", "labels", "masks", "truth", STAMPS)
NOT_SETTINGS = {"output", "jobs", "overwrite", "skip_broken", "source_name"}
VERSION = 3  # of the conversion: raise it when the same settings give other files
Assemble = Callable[[Sequence[Case], dict[str, Result], dict[str, str]], Pairs]


def build(
    args: argparse.Namespace, about: Dataset, cases: Sequence[Case], convert: Convert,
    settings: Settings, assemble: Assemble | None = None, broken: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    """Convert ``cases`` into ``args.output`` and write its ``dataset.json``.

    Args:
        about: the data set but for its splits (and, if empty, its labels).
        settings: what ``convert`` needs to know; a change of it converts again.
        assemble: makes the splits' pairs of the results; by default every case brings its own.
        broken: what was found broken before and is to be reported with the rest.
    """
    splits = assign_splits(args, cases)
    refuse_repeated(cases)
    refuse_inputs_in(args.output, cases)
    guard_output(args)
    results, skipped = convert_all(
        cases, convert, args.output, {**settings, "version": VERSION}, args.jobs, args.skip_broken
    )
    pairs = (assemble or _own_pairs)(cases, results, splits)
    if not any(pairs.values()):
        raise InputError(f"{args.source}: no pair could be made of {len(cases)} cases")
    dataset = replace(_with_labels(about, results), splits={split: pairs.get(split, []) for split in SPLITS})
    prepared.write(dataset)
    _remove_orphans(dataset)
    _report(dataset, [*broken, *skipped], [line for result in results.values() for line in result.get("remarks", [])])
    return dataset


def refuse_inputs_in(output: Path, cases: Sequence[Case]) -> None:
    """Refuse an output folder that holds what is read: there, files are replaced and removed.

    Raises:
        InputError: naming the first such file.
    """
    for path in (Path(path) for case in cases for path in case.files.values()):
        if path.resolve().is_relative_to(output.resolve()):
            raise InputError(f"{path}: is an input, and lies in --output {output}; choose another --output")


def guard_output(args: argparse.Namespace) -> None:
    """Make the output folder ready, or raise InputError if it holds something else."""
    output, settings = args.output, _settings_of(args)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; choose a folder as --output")
    finished, begun = (output / "dataset.json").is_file(), (output / STAMPS).is_dir()
    if finished and args.overwrite:
        _clear(output)
    elif finished and _stored(output) != settings:
        raise InputError(f"{output}: holds a finished data set of other settings; pass --overwrite or another --output")
    elif not finished and not begun and output.is_dir() and any(output.iterdir()):
        raise InputError(f"{output}: not empty and no prepared data set; choose another --output")
    write_bytes(output / STAMPS / "settings.json", json.dumps(settings, indent=1).encode())


def _settings_of(args: argparse.Namespace) -> dict[str, Any]:
    values = {key: value for key, value in vars(args).items() if key not in NOT_SETTINGS}
    values = {key: str(value.resolve()) if isinstance(value, Path) else value for key, value in values.items()}
    return json.loads(json.dumps({**values, "version": VERSION}))


def _stored(output: Path) -> dict[str, Any] | None:
    try:
        return json.loads((output / STAMPS / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # another program's data set, or an older one: not ours to continue
        return None


def _clear(output: Path) -> None:
    (output / "dataset.json").unlink()
    for folder in FOLDERS:
        shutil.rmtree(output / folder, ignore_errors=True)


def assign_splits(args: argparse.Namespace, cases: Sequence[Case]) -> dict[str, str]:
    """Return subject to split: the case's own, or the seeded one; raise InputError if one is in two."""
    open_cases = {case.subject for case in cases if case.split is None}
    seeded = split_subjects(open_cases, args.split, args.seed) if open_cases else {}
    members: dict[str, set[str]] = {split: set() for split in SPLITS}
    for case in cases:
        members[case.split or seeded[case.subject]].add(case.subject)
    refuse_shared(members)
    return {subject: split for split, subjects in members.items() for subject in subjects}


def _own_pairs(cases: Sequence[Case], results: dict[str, Result], splits: dict[str, str]) -> Pairs:
    pairs: Pairs = {split: [] for split in SPLITS}
    for case in cases:
        if case.name in results:
            pairs[splits[case.subject]].extend(results[case.name]["pairs"])
    return pairs


def _with_labels(about: Dataset, results: dict[str, Result]) -> Dataset:
    """Name the labels that were found but have no name, and evaluate those that both maps of a pair hold."""
    found: set[int] = set()
    shared: set[int] = set()
    for result in results.values():
        maps = [set(values) for values in (result.get("label_values") or {}).values()]
        found |= set().union(*maps)
        shared |= set.intersection(*maps) if maps else set()
    if about.labels and about.evaluated_labels:
        return about
    labels = {value: about.labels.get(value, f"label {value}") for value in sorted(found | set(about.labels))}
    return replace(about, labels=labels, evaluated_labels=about.evaluated_labels or tuple(sorted(shared)))


def _remove_orphans(dataset: Dataset) -> None:
    """Remove what an interrupted run of other settings left in our own folders."""
    kept = files_of([pair for pairs in dataset.splits.values() for pair in pairs])
    for folder in ("images", "labels", "masks", "truth"):
        for path in (dataset.root / folder).glob("*"):
            if path.is_file() and path.relative_to(dataset.root).as_posix() not in kept:
                path.unlink()


def _report(dataset: Dataset, skipped: Sequence[str], remarks: Sequence[str]) -> None:
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    for line in sorted(set(remarks)):
        print(f"warning: {line}", file=sys.stderr)
    counts = [
        f"{split} {len({pair['subject'] for pair in pairs})} subjects {len(pairs)} pairs"
        for split, pairs in dataset.splits.items()
    ]
    pairs = [pair for pairs in dataset.splits.values() for pair in pairs]
    unlabelled = sum(not all(pair.get(key) for key in prepared.LABEL_KEYS) for pair in pairs)
    missing = f", {unlabelled} pairs without labels" if unlabelled else ""
    missing += f", skipped {len(skipped)}" if skipped else ""
    print(f"{dataset.root}: {dataset.name} {dataset.spatial_dims}D, {', '.join(counts)}{missing}")
    if shifts := told(pairs):
        print(f"{dataset.root}: {shifts}")
