"""Say where a bundle lies, for MONAI's commands; without a name, where each is that comes with Warpsure.

python -m monai.bundle run inference --config_file $(warpsure where vxm_hetero)/configs/inference.yaml ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.errors import say_in_one_line
from common.options import BUNDLE, BUNDLES, Parser, program


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("where"), description=__doc__)
    described.add_argument("bundle", nargs="?", metavar=BUNDLES, help=BUNDLE)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one folder, or a line for each bundle."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    from common.collection.find import find_bundle, names

    if options.bundle is not None:
        print(find_bundle(options.bundle).folder.resolve())
        return
    for name in names():
        folder = find_bundle(name).folder
        has = "weights" if (folder / "models" / "model.pt").is_file() else "no weights"
        print(f"{name:<16} {has:<10}  {folder}")


if __name__ == "__main__":
    sys.exit(main())
