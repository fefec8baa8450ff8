"""List every problem of a prepared data set."""

from __future__ import annotations

import argparse

from common.data import prepared
from common.data.prepared_check import find_problems


def run(args: argparse.Namespace) -> int:
    """Print a line for each problem and a summary; return 1 if there is an error, 0 if there are warnings at most."""
    problems = find_problems(args.directory)
    for line in problems:
        print(line)
    errors = sum(line.startswith("error:") for line in problems)
    dataset = prepared.read(args.directory) if not errors else None
    found = f"{errors} errors, {len(problems) - errors} warnings"
    if dataset is None:
        print(f"{args.directory}: {found}")
        return 1
    counts = ", ".join(f"{split} {len(pairs)}" for split, pairs in dataset.splits.items())
    print(f"{args.directory}: good ({counts} pairs; {found})")
    return 0
