"""Compare evaluated methods on one HTML page, and its table as CSV beside it and in the terminal.

warpsure report --evaluations DIR DIR --trainings DIR DIR --dataset DATA --output results/report.html
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError, say_in_one_line
from common.options import Parser, add_dataset, add_output, program

READ = ("metrics.json", "metrics.csv", "patients.csv", "sparsification.csv", "label_sparsification.csv", "log.csv")
"""What an evaluation or a training holds that a page or a table beside it could replace."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("report"), description=__doc__)
    evaluations = "output folders of evaluate, one per method, all of the same data set and split"
    described.add_argument("--evaluations", nargs="+", type=Path, required=True, metavar="DIR", help=evaluations)
    trainings = "output folders of training, for its curves"
    described.add_argument("--trainings", nargs="+", type=Path, default=[], metavar="DIR", help=trainings)
    add_dataset(described, "the prepared data set: its licence, evaluated labels and known truth", required=False)
    add_output(described, "the page to write, an .html", "FILE")
    described.add_argument("--title", metavar="TEXT", help="the page's title")
    against = "the method that the others are tested against (default: vxm_mse, else the first)"
    described.add_argument("--against", dest="reference", metavar="NAME", help=against)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Report from the command line."""
    say_in_one_line()
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output {options.output}: must end in .html.")
    report(options, [*program("report").split(), *given])


def report(options: argparse.Namespace, command: Sequence[str]) -> None:
    """Read the folders, write page and CSV, print the table and, as the last line, the page's path.

    Args:
        options: of `parser`.
        command: the call, that the page tells.

    Raises:
        InputError: an input is missing, damaged or of another data set; nothing is written then.
    """
    from common.data.prepared import read
    from common.files import refuse_overwriting, write_bytes

    from . import table, words
    from .comparisons import choose_reference
    from .evaluations import read_evaluations
    from .page import Report, render
    from .runs import read_runs
    from .truth import check_dataset, with_truth

    pages = [options.output, options.output.with_suffix(".csv")]
    refuse_overwriting(pages, [folder / name for folder in (*options.evaluations, *options.trainings) for name in READ])
    evaluations = read_evaluations(options.evaluations)
    runs = read_runs(options.trainings, [each.name for each in evaluations])
    dataset = read(options.dataset) if options.dataset is not None else None
    if dataset is not None:
        check_dataset(dataset, evaluations)
        evaluations = with_truth(dataset, evaluations)
    page = render(Report(evaluations, runs, dataset, options.title, options.reference, [*command]))
    for path, content in zip(pages, (page, table.to_csv(evaluations)), strict=True):
        write_bytes(path, content.encode())
    print("\n".join(words.headline(evaluations, choose_reference(evaluations, options.reference))), end="\n\n")
    print(table.to_text(table.build(evaluations)), end="\n\n")
    print(options.output)


if __name__ == "__main__":
    sys.exit(main())
