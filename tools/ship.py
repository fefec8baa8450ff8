"""Put a bundle's trained weights into it, and what was measured with them where its documents take it from.

    warpsure ship --runs RUNS --bundle vxm_hetero --searched GRID_RUNS --against vxm_mse
    warpsure ship --runs CAMUS_RUNS --bundle vxm_hetero --weights camus --against vxm_mse

The weights are those of the first seed, and the figures are over all seeds of the variant. With --weights they are put
beside the bundle's default ones, under that name. Render afterwards.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.errors import say_in_one_line
from common.options import Parser, add_bundle, add_select, program


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("ship"), description=__doc__)
    described.add_argument("--runs", type=Path, required=True, metavar="RUNS", help="the output folder of train-all")
    add_bundle(described)
    beside = "a name for the weights, beside the bundle's default ones (default: they become these)"
    described.add_argument("--weights", metavar="NAME", help=beside)
    described.add_argument("--variant", metavar="V", help="its folder's name (default: the only one)")
    described.add_argument("--searched", type=Path, metavar="RUNS", help="where its settings were searched")
    add_select(described)
    described.add_argument("--half", action="store_true", help="round the weights to half precision")
    described.add_argument(
        "--against", dest="reference", metavar="NAME", help="the bundle that it is tested against, pair by pair"
    )
    variant = "the folder's name of its runs (default: the only one)"
    described.add_argument("--against-variant", dest="reference_variant", metavar="V", help=variant)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Ship from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    from common.collection.find import need_repository

    need_repository("ship")
    from .campaign.launching import called
    from .campaign.shipping import ship

    options.bundle = called(options.bundle)
    given = vars(options)
    ship(name=given.pop("weights"), **given)


if __name__ == "__main__":
    main()
