"""Say where a bundle lies, for MONAI's commands; without a name, where each lies, and the names of its weights.

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
    from common.collection.weights import weights_file, weights_of

    if options.bundle is not None:
        print(find_bundle(options.bundle).folder.resolve())
        return
    for name in names():
        folder = find_bundle(name).folder
        named = [each.name for each in weights_of(folder).values() if each.file.is_file()]
        has = ", ".join(named) or ("unnamed" if weights_file(folder).is_file() else "no weights")
        print(f"{name:<16} {has:<12}  {folder}")


if __name__ == "__main__":
    sys.exit(main())
