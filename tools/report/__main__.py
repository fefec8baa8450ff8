"""``python -m tools.report --evaluations DIR [DIR ...] --output results/report.html``: compare evaluated methods."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.data.prepared import read
from common.errors import InputError, say_in_one_line
from common.files import write_bytes

from . import table, words
from .comparisons import choose_reference
from .evaluations import read_evaluations
from .page import Report, render
from .runs import read_runs
from .truth import check_dataset, with_truth

PROGRAM = "python -m tools.report"


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Compare evaluated methods on one HTML page, and its table as CSV beside it and in the terminal.",
    )
    described.add_argument(
        "--evaluations",
        nargs="+",
        type=Path,
        required=True,
        metavar="DIR",
        help="output folders of evaluate, one per method, all of the same data set and split",
    )
    described.add_argument(
        "--runs", nargs="+", type=Path, default=[], metavar="DIR", help="output folders of training, for its curves"
    )
    described.add_argument(
        "--dataset",
        type=Path,
        metavar="DIR",
        help="the prepared data set: its licence, evaluated labels and known truth",
    )
    described.add_argument("--output", type=Path, required=True, metavar="FILE.html", help="the page to write")
    described.add_argument("--title", help="the page's title")
    described.add_argument(
        "--reference",
        metavar="NAME",
        help="the method that the others are tested against (default: vxm_mse, else the first)",
    )
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the folders, write page and CSV, print the table and, as the last line, the page's path.

    Raises:
        InputError: an input is missing, damaged or of another data set; nothing is written then.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output {options.output}: must end in .html.")
    evaluations = read_evaluations(options.evaluations)
    runs = read_runs(options.runs, [each.name for each in evaluations])
    dataset = read(options.dataset) if options.dataset is not None else None
    if dataset is not None:
        check_dataset(dataset, evaluations)
        evaluations = with_truth(dataset, evaluations)
    report = Report(evaluations, runs, dataset, options.title, options.reference, [*PROGRAM.split(), *given])
    page = render(report)
    write_bytes(options.output, page.encode())
    write_bytes(options.output.with_suffix(".csv"), table.to_csv(evaluations).encode())
    print("\n".join(words.headline(evaluations, choose_reference(evaluations, options.reference))), end="\n\n")
    print(table.to_text(table.build(evaluations)), end="\n\n")
    print(options.output)


if __name__ == "__main__":
    say_in_one_line()
    main()
