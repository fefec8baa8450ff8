"""Say where a bundle lies, for MONAI's commands; without a name, where each is that comes with Warpsure.

python -m monai.bundle run inference --config_file $(warpsure where vxm_hetero)/configs/inference.yaml ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.collection.find import BUNDLES, find_bundle
from common.errors import say_in_one_line
from common.options import BUNDLE, program


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(
        program("where"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    described.add_argument("bundle", nargs="?", metavar="NAME|FOLDER|RUN|ZIP", help=BUNDLE)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one folder, or a line for each bundle."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    if options.bundle is not None:
        print(find_bundle(options.bundle).resolve())
        return
    for folder in sorted(configs.parent for configs in BUNDLES.glob("*/configs")):
        has = "weights" if (folder / "models" / "model.pt").is_file() else "no weights"
        print(f"{folder.name:<16} {has:<10}  {folder}")


if __name__ == "__main__":
    sys.exit(main())
