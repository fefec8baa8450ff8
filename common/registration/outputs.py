"""The files of a registration, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import staged, write_bytes, write_json
from ..io.fields import FORMATS, write_field
from ..io.images import write_image
from ..io.points import POINTS, write_points
from .outcome import Outcome
from .picture import draw


def check_format(format: str, dims: int) -> None:
    """Refuse a format of fields that there is not, before the work is done.

    Raises:
        InputError: naming it.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r} is unknown; choose one of {', '.join(FORMATS)}.")
    if format == "l2r" and dims == 2:
        raise InputError("format 'l2r' has no fields of 2D images; choose another.")


def write_outcome(
    outcome: Outcome,
    report: Mapping[str, Any],
    output: str | Path,
    name: str,
    format: str = "nifti",
    points: Path | None = None,
) -> list[Path]:
    """Write ``name``_warped.nii.gz and so on to the folder ``output``; return the files.

    Args:
        report: numbers to write as ``name``.json and beside the picture.
        format: of the fields, see `io.fields`.
        points: the file that the outcome's points were read from.

    Raises:
        InputError: a file cannot be written; none is, then.
    """
    with staged(Path(output)) as folder:
        for key, array in _images(outcome).items():
            write_image(folder / f"{name}_{key}.nii.gz", array, outcome.fixed.affine)
        ending = FORMATS[format][0]
        write_field(folder / f"{name}_field{ending}", outcome.field, format)
        write_field(folder / f"{name}_inverse_field{ending}", outcome.inverse[0], format)
        if points is not None:
            file = folder / f"{name}_points{_ending(points)}"
            write_points(file, points, outcome.points, outcome.warped_points[0])
        write_bytes(folder / f"{name}.png", draw(outcome, report))
        write_json(folder / f"{name}.json", report)
        names = sorted(path.name for path in folder.iterdir())
    return [Path(output) / each for each in names]


def _images(outcome: Outcome) -> dict[str, np.ndarray]:
    label = {} if outcome.warped_label is None else {"warped_label": outcome.warped_label}
    found = outcome.registration
    return {"warped": outcome.warped, **label, "jacobian": outcome.jacobian, **found.maps, "seen": found.seen}


def _ending(points: Path) -> str:
    return next(ending for ending in sorted(POINTS, key=len, reverse=True) if points.name.lower().endswith(ending))
