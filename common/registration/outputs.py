"""The files of a registration, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import refuse_overwriting, staged, write_bytes, write_json
from ..io.fields import FORMATS, write_field
from ..io.points import write_points
from ..nifti import save_image
from .look import check_outside, looks
from .outcome import Registration


def check_format(format: str, dims: int) -> None:
    """Refuse a format of fields that there is not, before the work is done.

    Raises:
        InputError: naming it.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r} is unknown; choose one of {', '.join(FORMATS)}.")
    if format == "l2r" and dims == 2:
        raise InputError("format 'l2r' has no fields of 2D images; choose another.")


def refuse_inputs(output: str | Path, name: str, format: str, inputs: Iterable[str | Path | None]) -> None:
    """Refuse, before anything is computed, a folder and a name of which the files that there always are replace inputs.

    Raises:
        InputError: naming such a file.
    """
    images = [f"{name}_{kind}.nii.gz" for kind in ("warped", "jacobian", "seen")]
    fields = [field_name(name, format, which) for which in ("field", "inverse_field")]
    refuse_overwriting((Path(output) / each for each in (*images, *fields, f"{name}.json", f"{name}.png")), inputs)


def field_name(name: str, format: str, which: str = "field") -> str:
    """What the file of a field is called: ``NAME_field.nii.gz``, as the challenge has it ``disp_NAME.nii.gz``."""
    if format == "l2r":
        name, which = f"disp_{name}", which.removesuffix("field").rstrip("_")
    return (f"{name}_{which}" if which else name) + FORMATS[format][0]


def write_registration(
    found: Registration,
    output: str | Path,
    name: str,
    format: str = "nifti",
    picture: bool = True,
    more: Mapping[str, np.ndarray] | None = None,
    displacement: bool = False,
    outside: str = "nan",
) -> list[Path]:
    """Write ``name``_warped.nii.gz and so on to the folder ``output``; return the files.

    Args:
        format: of the fields, see `io.fields`.
        picture: whether there is a ``name``.png.
        more: images on the fixed image's grid to write beside them, by the ends of their names.
        displacement: whether the field is also written as ``name``_displacement.nii.gz, its name up to version 0.2.
        outside: what the method's maps are where nothing was seen, see `look`.

    Raises:
        InputError: a file cannot be written, or would replace an input; none is, then.
    """
    check_format(format, found.field.dims)
    outside = check_outside(outside)
    with staged(Path(output), found.case.files) as folder:
        start = folder / name
        for key, shown in looks(found, outside).items():
            save_image(start.with_name(f"{name}_{key}.nii.gz"), shown.array, found.fixed.affine, *shown[1:])
        for key, array in (more or {}).items():
            save_image(start.with_name(f"{name}_{key}.nii.gz"), array, found.fixed.affine)
        for key, field in {"field": found.field, "inverse_field": found.inverse}.items():
            write_field(start.with_name(field_name(name, format, key)), field, format)
        if displacement:
            write_field(start.with_name(f"{name}_displacement.nii.gz"), found.field)
        if (points := found.case.points) is not None:
            path = start.with_name(f"{name}_points{points.ending}")
            write_points(path, points, found.warped_points[0], ~found.points_seen)
        if picture:
            from .picture import draw  # matplotlib, which takes as long to import as a registration

            write_bytes(start.with_name(f"{name}.png"), draw(found))
        write_json(start.with_name(f"{name}.json"), found.numbers)
        names = sorted(path.name for path in folder.iterdir())
    return [Path(output) / each for each in names]
