"""The images of a cine as files: its motion, warped frames and maps."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from common.fields import Field
from common.files import write_bytes
from common.forms import RAS_TO_LPS
from common.io import write_field
from common.metrics.strain import carried, reference_points
from common.nifti import describe, save_nifti, stored
from common.physical import background, warp_image
from common.registration.outputs import field_name

from .motion import Motion
from .reading import Cine


def write_motion(path: Path, motion: Motion, step: float | None) -> None:
    """Write the fields of all frames as one NIfTI vector image, (i, j, k, t, D).

    As in a file of a single field, a vector is in LPS mm and leads from a point of frame t to its point in the
    reference frame (intent 1007); a 2D image has k = 1 and D = 2. The fourth axis is time, in ms where it is known.
    """
    vectors = motion.vectors if motion.vectors.ndim == 5 else motion.vectors[:, :, :, None]
    _write_nifti(path, np.moveaxis(vectors, 0, 3), motion.affine, step, vector=True)


def write_frames(
    path: Path,
    frames: np.ndarray,
    affine: np.ndarray,
    step: float | None,
    window: tuple[float, float] | None = None,
    note: str = "",
) -> None:
    """Write (T, *spatial) as a 4D NIfTI file (i, j, k, t); labels as whole numbers, all else as float32.

    Args:
        window, note: as of `nifti.describe`.
    """
    frames = frames if frames.ndim == 4 else frames[..., None]
    _write_nifti(path, np.moveaxis(frames, 0, 3), affine, step, window, note)


def _write_nifti(
    path: Path,
    array: np.ndarray,
    affine: np.ndarray,
    step: float | None,
    window: tuple[float, float] | None = None,
    note: str = "",
    vector: bool = False,
) -> None:
    image = nib.Nifti1Image(stored(array), affine)
    describe(image.header, window, note)
    image.header.set_xyzt_units("mm", "unknown" if step is None else "msec")
    image.header["pixdim"][4] = step or 1
    if vector:
        image.header.set_intent("vector")
    save_nifti(path, image)


def write_sequence(path: Path, frames: np.ndarray, affine: np.ndarray, times: np.ndarray | None) -> None:
    """Write (T, *spatial) as a sequence of volumes in NRRD, laid out as 3D Slicer's ``.seq.nrrd`` files are.

    The first axis is a list, the rest are space (LPS); the times (ms, or frame numbers) are the list's index. ITK reads
    it as one volume with a component a frame; it has not been tried in Slicer itself.
    """
    frames = frames if frames.ndim == 4 else frames[..., None]
    lps = RAS_TO_LPS @ affine
    columns = " ".join(f"({','.join(f'{v:.9g}' for v in lps[:3, axis])})" for axis in range(3))
    index = np.arange(len(frames)) if times is None else times
    header = [
        "NRRD0005",
        "type: float",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {len(frames)} {' '.join(map(str, frames.shape[1:]))}",
        f"space directions: none {columns}",
        "kinds: list domain domain domain",
        'labels: "frame" "" "" ""',
        "endian: little",
        "encoding: gzip",
        f"space origin: ({','.join(f'{v:.9g}' for v in lps[:3, 3])})",
        "axis 0 index type:=numeric",
        "axis 0 index values:=" + " ".join(f"{value:g}" for value in index),
    ]
    # the first axis of a NRRD file varies fastest
    data = np.asarray(frames, dtype="<f4").tobytes(order="F")
    text = "\n".join(header) + "\n\n"
    write_bytes(path, text.encode() + gzip.compress(data, compresslevel=1, mtime=0))


def write_fields(folder: Path, name: str, motion: Motion, format: str) -> list[Path]:
    """Write the field of every frame but the reference to a file of its own, for programs that take one at a time."""
    return [
        write_field(folder / field_name(f"{name}_frame{t:03d}", format), Field(vectors, motion.affine), format)
        for t, vectors in enumerate(motion.vectors)
        if t != motion.reference
    ]


def warped_frames(cine: Cine, motion: Motion, fill: float | None = None) -> np.ndarray:
    """Return the reference frame warped to every frame, (T, *spatial): linear, ``fill`` from outside of the image.

    Without one that is the frame's `background`.
    """
    still = cine.frames[motion.reference]
    outside = background(still, fill)
    fields = [Field(vectors, motion.affine) for vectors in motion.vectors]
    return np.stack([warp_image(still, motion.affine, field, fill=outside) for field in fields])


def warped_labels(label: np.ndarray, motion: Motion) -> np.ndarray:
    """Return the reference frame's label map at every frame, (T, *spatial): each voxel the label that fills it most."""
    values = np.unique(label)
    found = []
    for frame in range(len(motion.vectors)):
        points = reference_points(motion.ddf(frame))
        shares = np.stack([carried(label == value, points) for value in values[values > 0]])
        shares = np.concatenate([1 - shares.sum(0, keepdims=True), shares])
        found.append(np.concatenate([[0], values[values > 0]])[shares.argmax(0)])
    return np.stack(found)
