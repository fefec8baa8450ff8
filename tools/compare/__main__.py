"""Put every method on one page, each evaluated once.

    warpsure compare --dataset data/acdc --output results/acdc undeformed elastix vxm_mse vxm_hetero
    warpsure compare --dataset data/acdc --output results/acdc --runs runs elastix ants
    warpsure compare --dataset data/hippocampus --output results/hippocampus --pairing atlas vxm_weak \\
      "vxm_weak+bootstrap=runs/vxm_weak/training_share=0.9/seed_*/train/model.pt" vxm_weak+dropout=WEIGHTS.pt \\
      vxm_weak+snapshot=runs/vxm_weak/snapshot/seed_0/train/snapshots
    warpsure compare --dataset data/acdc --output results/acdc vxm_mse vxm_mse+refine50

A ROW is a bundle (its shipped weights), BUNDLE=NAME (others of them, as `warpsure where` lists them), BUNDLE=WEIGHTS.pt
(once more for each further seed), the same of BUNDLE+refineN (each pair refined in N steps of optimisation), an
ensemble BUNDLE+KIND=MEMBERS (KIND is bootstrap, dropout or snapshot; MEMBERS a file, a folder or a quoted pattern), or
a classical baseline; --runs adds every finished run of a campaign, and for BUNDLE+refineN those of BUNDLE refined.
What is evaluated already is not evaluated again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError, say_in_one_line
from common.options import Parser, add_dataset, add_output, add_overrides, add_split, positive, program


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("compare"), description=__doc__)
    rows = "a bundle, BUNDLE=NAME, BUNDLE=WEIGHTS.pt, BUNDLE+refineN[=...], BUNDLE+KIND=MEMBERS, or a baseline"
    described.add_argument("rows", nargs="*", metavar="ROW", help=rows)
    add_dataset(described)
    add_split(described)
    described.add_argument("--members", type=positive, default=8, metavar="N", help="of each ensemble (default: 8)")
    add_output(described, "where compare.html, compare.csv and the evaluations go")
    described.add_argument("--runs", type=Path, metavar="RUNS", help="add the runs in RUNS/<bundle>/<variant>/seed_<k>")
    reference = "the row that the others are tested against (default: vxm_mse's first, else the first)"
    described.add_argument("--against", dest="reference", metavar="NAME", help=reference)
    described.add_argument("--show", dest="pairs", nargs="+", default=[], metavar="ID", help="the pairs to show")
    described.add_argument("--title", metavar="TEXT", help="the page's title")
    add_overrides(described, "settings of the bundles' evaluate.yaml, such as device=cpu")
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare from the command line; return 1 if a row failed.

    Raises:
        InputError: what cannot be compared.
    """
    say_in_one_line()
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_intermixed_args(given)
    if options.members < 2:
        raise InputError(f"--members {options.members}: an ensemble has 2 or more.")
    from .comparing import compare

    return compare(**vars(options), command=[*program("compare").split(), *given])


if __name__ == "__main__":
    sys.exit(main())
