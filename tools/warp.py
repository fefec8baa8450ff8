"""Warp an image, a label map, points or a mesh by a displacement field, or by several transforms in a row.

    warpsure warp FIELD INPUT --output FILE [--field MORE] [--label] [--inverse] [--reference IMAGE] [--axes LPS|RAS]

INPUT belongs to the moving image and goes to the fixed image; with --inverse it belongs to the fixed image and goes to
the moving one. This is the same for images and for points, so that a landmark stays on what it marks, although the two
are computed in opposite ways: the field holds, at each point of the fixed image, the way to its point of the moving
image. An image is pulled along it; a point of the moving image takes the inverse way.

FIELD is a field of ours, of ITK, ANTs, 3D Slicer, Learn2Reg, NiftyReg or SPM (y_), or a transform of ITK or ANTs:
affine, rigid, a translation, or a composite (.h5, .tfm, .txt, .mat). Each --field adds one, in the order of ANTs' -t:
the last that is given is applied to the image first. The image is interpolated once.

Of a cine, the motion that warpsure cine writes and the 4D image are taken too: each frame by its own motion, the
reference image by the motion of all frames, or all frames by one field. --frame takes a single one.

Points and meshes keep their format: tables (.csv, .tsv, .txt: columns x, y, z in mm, whose axes --axes says, or r, a, s
or l, p, s as of 3D Slicer), .fcsv and .mrk.json of 3D Slicer, points of elastix (.txt, .pts), .vtk (legacy polydata),
.ply, .stl and .obj. Images may have any grid; the output is on the grid of the field that is given first, or of the
--reference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError, say_in_one_line
from common.files import refuse_overwriting
from common.io.formats import AXES, POINTS
from common.options import Parser, add_fill, add_memory, add_output, program

if TYPE_CHECKING:
    from common.fields import Chain
    from common.io.images import MedicalImage


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("warp"), description=__doc__)
    described.add_argument("field", type=Path, help="NAME_field.* of a registration, or a transform, see above")
    described.add_argument("input", type=Path, help="image, label map, points or mesh")
    add_output(described, "the file to write", "FILE")
    more = "another transform, applied to the image before those given so far; may be repeated"
    described.add_argument("--field", dest="more", action="append", type=Path, default=[], metavar="FIELD", help=more)
    described.add_argument("--inverse", action="store_true", help="from the fixed to the moving image")
    described.add_argument("--label", action="store_true", help="a label map: take the nearest voxel")
    described.add_argument("--reference", type=Path, metavar="IMAGE", help="whose grid the output has")
    described.add_argument("--axes", choices=AXES, type=str.upper, help="of points, if their file does not say it")
    add_fill(described, "image")
    described.add_argument("--frame", type=int, metavar="N", help="of a cine or of its motion, from 0")
    add_memory(described)
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Warp from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    refuse_overwriting([options.output], [options.input, options.field, *options.more, options.reference])
    print(warp_points(options) if options.input.name.lower().endswith(POINTS) else warp_image(options))


def warp_points(options: argparse.Namespace) -> str:
    """Warp a file of points and return what was done, in a line.

    Raises:
        InputError: a file that cannot be read or written, or that does not fit the field.
    """
    import numpy as np

    from common.carry import carry_points
    from common.io import read_points, write_points

    if options.label or options.reference or options.fill is not None:
        raise InputError(f"{options.input}: holds points; --label, --reference and --fill are for images.")
    points = read_points(options.input, options.axes)
    chains, is_motion = transforms([options.field, *options.more], options.frame)
    if options.frame is not None and not is_motion:
        raise InputError(f"{options.input}: holds points; --frame is for images, and for the motion of a cine.")
    if len(chains) > 1:
        raise InputError(f"{options.field}: holds the motion of {len(chains)} frames; choose one by --frame.")
    moved, outside, remark = carry_points(chains[0], points, options.inverse)
    write_points(options.output, points, moved, outside)
    distance = np.linalg.norm(moved - points.lps, axis=1).mean()
    return f"{options.output}: {len(moved)} points, by {distance:.3g} mm on average{remark}"


def transforms(paths: Sequence[Path], frame: int | None) -> tuple[list[Chain], bool]:
    """The transforms of ``paths`` in a row, for each frame or for ``frame`` of a motion; and whether one is a motion.

    Raises:
        InputError: a file that cannot be read, or motions of different numbers of frames.
    """
    from common.fields import chain_of
    from common.io import read_transforms

    every = [read_transforms(path) for path in paths]
    counts = sorted({len(each) for each in every if len(each) > 1})
    if len(counts) > 1:
        raise InputError(f"{paths[0]}: motions of {' and '.join(map(str, counts))} frames; give those of one cine.")
    count = counts[0] if counts else 1
    if counts and frame is not None and not 0 <= frame < count:
        raise InputError(f"{paths[0]}: holds the motion of frames 0 to {count - 1}; there is no {frame}.")
    wanted = [frame] if counts and frame is not None else range(count)
    return [chain_of(*(each[t if len(each) > 1 else 0] for each in every)) for t in wanted], bool(counts)


def warp_image(options: argparse.Namespace) -> str:
    """Warp a file of an image, a label map or a cine and return what was done, in a line.

    Raises:
        InputError: as `warp_points`.
    """
    from common.carry import carry_image
    from common.io import read_image

    if options.axes:
        raise InputError(f"{options.input}: an image states its own axes; leave out --axes.")
    chains, is_motion = transforms([options.field, *options.more], options.frame)
    images = frames_of(options.input, options.label, None if is_motion else options.frame)
    if len(images) > 1 and 1 < len(chains) != len(images):
        raise InputError(f"{options.input}: has {len(images)} frames, but the motion {len(chains)}; give those of one.")
    grid = read_image(options.reference) if options.reference else None
    count = max(len(images), len(chains))
    each = zip(images if len(images) == count else images * count, chains if len(chains) == count else chains * count)
    done = [carry_image(chain, image, options.label, options.inverse, grid, options.fill) for image, chain in each]
    shape = write_result(options, [warped for warped, _ in done])
    remarks = [f"{f'; frame {n}' if count > 1 else ''}{remark}" for n, (_, remark) in enumerate(done) if remark]
    return f"{options.output}: {shape}, {'nearest' if options.label else 'linear'}{(remarks or [''])[0]}"


def frames_of(path: Path, label: bool, frame: int | None) -> list[MedicalImage]:
    """The images of ``path``, or that of ``frame``.

    Raises:
        InputError: it cannot be read, or has no such frame.
    """
    from common.io.frames import read_each

    images = read_each(path, label)
    if frame is None:
        return images
    if not 0 <= frame < len(images):
        raise InputError(f"{path}: holds images 0 to {len(images) - 1}; there is no {frame}.")
    return images[frame : frame + 1]


def write_result(options: argparse.Namespace, images: Sequence[MedicalImage]) -> list[int]:
    """Write what was warped, several as frames; return its shape.

    Raises:
        InputError: another ending than NIfTI's, or no right to write.
    """
    import numpy as np

    from common.io import write_image
    from common.io.frames import frame_step, write_series

    if len(images) == 1:
        write_image(options.output, images[0].array, images[0].affine)
        return list(images[0].array.shape)
    frames = np.stack([image.array for image in images], axis=-1)
    frames = frames[:, :, None] if frames.ndim == 3 else frames
    step = frame_step(options.input) or frame_step(options.field)
    write_series(options.output, frames, images[0].affine, step)
    return list(frames.shape)


if __name__ == "__main__":
    sys.exit(main())
