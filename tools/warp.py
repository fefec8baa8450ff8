"""Warp an image, a label map, points or a mesh by a displacement field.

    python -m tools.warp FIELD INPUT --output FILE [--label] [--inverse] [--reference IMAGE] [--axes LPS|RAS]

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
from pathlib import Path

import numpy as np

from common.errors import InputError, say_in_one_line
from common.fields import Field
from common.io import read_field, read_image, read_label, write_image
from common.io.points import AXES, is_points, read_points, write_points
from common.physical import invert_field, invert_points, outside, resample_field, transform_points, warp_image


def warp_file(
    field_path: Path,
    source: Path,
    output: Path,
    inverse: bool = False,
    label: bool = False,
    reference: Path | None = None,
    axes: str | None = None,
    frame: int | None = None,
) -> str:
    """Warp one file and return what was done, in a line; see the module for the direction.

    Raises:
        InputError: a file that cannot be read or written, or that does not fit the field.
    """
    if output.resolve() in (source.resolve(), field_path.resolve()):
        raise InputError(f"{output}: is an input too; choose another output.")
    field = read_field(field_path)
    if is_points(source):
        if label or reference or frame is not None:
            raise InputError(f"{source}: holds points; --label, --reference and --frame are for images.")
        return _warp_points(field, source, output, inverse, axes)
    if axes:
        raise InputError(f"{source}: an image states its own axes; leave out --axes.")
    image = read_label(source) if label else read_image(source, frame)
    if image.array.ndim != field.dims:
        raise InputError(f"{source}: {image.array.ndim}D, but {field_path} is {field.dims}D; give one that fits it.")
    field, remark = _on_output_grid(field, inverse, reference)
    warped = warp_image(image.array, image.affine, field, order=0 if label else 1)
    if warped.min() == warped.max() and image.array.min() != image.array.max():
        remark += "; nothing of it lies there: do they share a space?"
    write_image(output, warped, field.affine)
    return f"{output}: {list(warped.shape)}, {'nearest' if label else 'linear'}{remark}"


def _on_output_grid(field: Field, inverse: bool, reference: Path | None) -> tuple[Field, str]:
    shape, affine = field.shape, field.affine
    if reference:
        grid = read_image(reference)
        shape, affine = grid.array.shape, grid.affine
        if len(shape) != field.dims:
            raise InputError(f"{reference}: {len(shape)}D, but the field is {field.dims}D; give one that fits.")
    if not inverse:
        return (resample_field(field, shape, affine) if reference else field), ""
    found, residual = invert_field(field, shape, affine)
    return found, f", inverted to {np.median(residual):.2g} mm (median), {residual.max():.2g} mm (largest)"


def _warp_points(field: Field, source: Path, output: Path, inverse: bool, axes: str | None) -> str:
    points = read_points(source, axes)
    if points.lps.shape[1] < field.dims:
        raise InputError(f"{source}: points without z, but the field is 3D; add a column z.")
    inside, moved = points.lps[:, : field.dims], points.lps.copy()
    remark = ""
    if inverse:
        moved[:, : field.dims], on_grid = transform_points(inside, field), inside
    else:
        moved[:, : field.dims], residual = invert_points(inside, field)
        on_grid, remark = moved[:, : field.dims], f", inverted to {residual.max():.2g} mm (largest)"
    if count := int(outside(on_grid, field).sum()):
        remark += f"; {count} outside of the field, moved as its nearest voxel"
    write_points(output, source, points, moved)
    distance = np.linalg.norm(moved - points.lps, axis=1).mean()
    return f"{output}: {len(moved)} points, by {distance:.3g} mm on average{remark}"


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = argparse.ArgumentParser(
        prog="python -m tools.warp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    described.add_argument("field", type=Path, help="*_field.* or *_displacement.nii.gz, or of ITK, ANTs or Learn2Reg")
    described.add_argument("input", type=Path, help="image, label map, points or mesh")
    described.add_argument("--output", type=Path, required=True, metavar="FILE")
    described.add_argument("--inverse", action="store_true", help="from the fixed to the moving image")
    described.add_argument("--label", action="store_true", help="a label map: take the nearest voxel")
    described.add_argument("--reference", type=Path, metavar="IMAGE", help="whose grid the output has")
    described.add_argument("--axes", choices=AXES, type=str.upper, help="of points, if their file does not say it")
    described.add_argument("--frame", type=int, metavar="N", help="of a cine, from 0")
    return described


def main(arguments: list[str] | None = None) -> None:
    """Warp from the command line."""
    say_in_one_line()
    options = vars(parser().parse_args(arguments))
    print(warp_file(options.pop("field"), options.pop("input"), **options))


if __name__ == "__main__":
    main()
