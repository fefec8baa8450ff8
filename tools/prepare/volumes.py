"""Read a medical image of any of the usual formats as a volume with its true affine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.io import images
from common.io.images import MedicalImage
from common.nifti import UNREADABLE, load_nifti
from common.regridding import matched_label

NIFTI = (".nii.gz", ".nii")
ITK = (".mha", ".mhd", ".nrrd", ".nhdr")
EXTENSIONS = (*NIFTI, *ITK)


class BrokenInput(InputError):
    """A source file that cannot be used: the one kind of error that ``--skip-broken`` collects."""


def stem(path: str | Path) -> str:
    """Return the file's name without its image extension."""
    name = Path(path).name
    return next((name[: -len(end)] for end in EXTENSIONS if name.lower().endswith(end)), name)


@contextmanager
def broken(path: str | Path) -> Iterator[None]:
    """Turn what reading ``path`` raises into a BrokenInput, in one line that says how to go on without it."""
    try:
        yield
    except InputError as error:
        raise BrokenInput(f"{str(error).rstrip('.')} (or pass --skip-broken)") from error
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise BrokenInput(f"{path}: cannot be read ({reason}); download it again or pass --skip-broken") from error


def read_image(path: str | Path, channel: int | None = None) -> MedicalImage:
    """Read a 2D or 3D image as (X, Y, Z) float32, of a 4D one its ``channel``, which None refuses.

    Raises:
        BrokenInput: naming the file that is missing, unreadable, or no image by the rules of `common.io`.
    """
    with broken(path):
        return as_volume(images.read_image(path, channel))


def read_label(path: str | Path, image: MedicalImage, channel: int | None = None) -> tuple[MedicalImage, str]:
    """Read the label map of an image on the image's grid, uint8; where their headers disagree, with a remark.

    Args:
        channel: of a 4D map, which None refuses.

    Raises:
        BrokenInput: no label map by the rules of `common.io`, values above 255, or nothing of it lies in the image.
    """
    with broken(path):
        label = as_volume(images.read_label(path, channel))
        array, remark = matched_label(label, image)
    return replace(image, array=small(path, array), path=label.path), remark


def small(path: str | Path, label: np.ndarray) -> np.ndarray:
    """Return a label map as uint8, in which prepared data sets have them; raise BrokenInput if its values are more."""
    if label.dtype != np.uint8:
        odd = label[(label < 0) | (label > 255)]
        raise BrokenInput(
            f"{path}: label value {odd.flat[0]} is no whole number from 0 to 255; renumber it or pass --skip-broken"
        )
    return np.ascontiguousarray(label)


def as_volume(image: MedicalImage) -> MedicalImage:
    """Return a 2D image as a volume of one slice, any other as it is."""
    return replace(image, array=image.array[:, :, None]) if image.array.ndim == 2 else image


def shape_and_affine(path: str | Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the (X, Y, Z) shape and affine of an image; of NIfTI only the header is read."""
    path = Path(path)
    if not path.is_file() or not path.name.lower().endswith(NIFTI):
        image = read_image(path)
        return image.array.shape, image.affine
    with broken(path):
        shape = load_nifti(path).header.get_data_shape()
        return (*map(int, shape), 1)[:3], images.read_affine(path)
