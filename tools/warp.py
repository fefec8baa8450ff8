"""Warp an image, a label map, points or a mesh by a displacement field.

    warpsure warp FIELD INPUT --output FILE [--label] [--inverse] [--reference IMAGE] [--axes LPS|RAS]

INPUT belongs to the moving image and goes to the fixed image; with --inverse it belongs to the fixed image and goes to
the moving one. This is the same for images and for points, so that a landmark stays on what it marks, although the two
are computed in opposite ways: the field holds, at each point of the fixed image, the way to its point of the moving
image. An image is pulled along it; a point of the moving image takes the inverse way.

Points and meshes keep their format: .csv (columns x, y, z in mm; say which axes by --axes), .fcsv and .mrk.json of 3D
Slicer, .vtk (legacy polydata), .ply, .stl and .obj. Images may have any grid; the output is on the grid of the field,
or of the --reference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError, say_in_one_line
from common.files import refuse_overwriting
from common.io.formats import AXES, POINTS
from common.options import Parser, add_fill, add_output, program


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("warp"), description=__doc__)
    described.add_argument("field", type=Path, help="NAME_field.* of a registration, or of ITK, ANTs or Learn2Reg")
    described.add_argument("input", type=Path, help="image, label map, points or mesh")
    add_output(described, "the file to write", "FILE")
    described.add_argument("--inverse", action="store_true", help="from the fixed to the moving image")
    described.add_argument("--label", action="store_true", help="a label map: take the nearest voxel")
    described.add_argument("--reference", type=Path, metavar="IMAGE", help="whose grid the output has")
    described.add_argument("--axes", choices=AXES, type=str.upper, help="of points, if their file does not say it")
    add_fill(described, "image")
    described.add_argument("--frame", type=int, metavar="N", help="of a cine, from 0")
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Warp from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    refuse_overwriting([options.output], [options.input, options.field, options.reference])
    print(warp_points(options) if options.input.name.lower().endswith(POINTS) else warp_image(options))


def warp_points(options: argparse.Namespace) -> str:
    """Warp a file of points and return what was done, in a line.

    Raises:
        InputError: a file that cannot be read or written, or that does not fit the field.
    """
    import numpy as np

    from common.carry import carry_points
    from common.io import read_field, read_points, write_points

    if options.label or options.reference or options.frame is not None or options.fill is not None:
        raise InputError(f"{options.input}: holds points; --label, --reference, --frame and --fill are for images.")
    points = read_points(options.input, options.axes)
    moved, remark = carry_points(read_field(options.field), points, options.inverse)
    write_points(options.output, points, moved)
    distance = np.linalg.norm(moved - points.lps, axis=1).mean()
    return f"{options.output}: {len(moved)} points, by {distance:.3g} mm on average{remark}"


def warp_image(options: argparse.Namespace) -> str:
    """Warp a file of an image or a label map and return what was done, in a line.

    Raises:
        InputError: as `warp_points`.
    """
    from common.carry import carry_image
    from common.io import read_field, read_image, read_label, write_image

    if options.axes:
        raise InputError(f"{options.input}: an image states its own axes; leave out --axes.")
    image = read_label(options.input) if options.label else read_image(options.input, options.frame)
    grid = read_image(options.reference) if options.reference else None
    how = options.label, options.inverse, grid, options.fill
    warped, remark = carry_image(read_field(options.field), image, *how)
    write_image(options.output, warped.array, warped.affine)
    sampled = "nearest" if options.label else "linear"
    return f"{options.output}: {list(warped.array.shape)}, {sampled}{remark}"


if __name__ == "__main__":
    sys.exit(main())
