"""Write a bundle's network as TorchScript or ONNX.

    warpsure export --bundle vxm_hetero --to onnx --output vxm_hetero.onnx

The file takes any batch and any size of image, and needs neither this software nor MONAI. Before it is written it
runs on images of other sizes than it was made with, and has to give what the network gives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import say_in_one_line
from common.options import Parser, add_bundle, add_output, add_overrides, add_weights, parse_overrides, program

FORMATS = ("torchscript", "onnx")


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("export"), description=__doc__)
    add_bundle(described)
    add_weights(described)
    add_output(described, "the file to write", "FILE")
    described.add_argument("--to", choices=FORMATS, default=FORMATS[0], help="what is written (default: torchscript)")
    described.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights in place of the bundle's own")
    add_overrides(described, "settings of the bundle's inference config that the weights were trained with")
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Export from the command line."""
    say_in_one_line()
    export(parser().parse_args(arguments))


def export(options: argparse.Namespace) -> None:
    """Write the network that ``options`` name, and say how near it is.

    Raises:
        InputError: anything that cannot be used or exported; nothing is written then.
    """
    from common.files import refuse_overwriting, write_bytes
    from common.registration.bundle import open_bundle

    from .formats import about, exported

    settings = parse_overrides(options.override) | {"device": "cpu"}
    given = {"weights": options.weights, "checkpoint": options.checkpoint and str(options.checkpoint)}
    settings |= {key: value for key, value in given.items() if value is not None}
    bundle = open_bundle(options.bundle, **settings)
    refuse_overwriting([options.output], [bundle.weights, *sorted((bundle.folder / "configs").glob("*"))])
    content, found = exported(bundle.network, options.to, about(bundle))
    write_bytes(options.output, content)
    print(f"{options.output}: {options.to}, {len(content) / 1e6:.1f} MB, differs from the network by {found:.1e}")


if __name__ == "__main__":
    sys.exit(main())
