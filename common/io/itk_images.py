"""Images of ITK, in a file or in memory; numbers of a type that its Python package does not have are converted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError
from ..forms import RAS_TO_LPS
from .itk_headers import check_header
from .quiet import quiet_itk, silent


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array (i, j[, k[, t]]) of a file of ITK and its affine to RAS mm (4, 4).

    Raises:
        InputError: damaged, too large, or of several values a voxel. OSError: what ITK refuses.
    """
    return from_itk(itk_image(path), path)


def itk_image(path: Path) -> Any:
    """Read an image of ITK from a file; of vectors if its voxels hold several values.

    Numbers of a type that the package does not have come as double: whole ones are exact up to 2^53.

    Raises:
        InputError: damaged or too large, see `check_header`. OSError: what ITK refuses.
    """
    check_header(path)
    with quiet_itk() as itk, silent():
        header = itk_header(path)
        reader = itk.ImageFileReader[_image_type(itk, header, path)].New(FileName=str(path), ImageIO=header)
        reader.Update()
        return reader.GetOutput()


def itk_header(path: Path) -> Any:
    """What ITK reads of an image before its voxels; raise OSError if it does not know the format."""
    with quiet_itk() as itk:
        itk.Object.GlobalWarningDisplayOff()  # an error says it all
        header = itk.ImageIOFactory.CreateImageIO(str(path), itk.CommonEnums.IOFileMode_ReadMode)
        if header is None:
            raise OSError("no image of ITK")
        header.SetFileName(str(path))
        header.ReadImageInformation()
        return header


def number_type(header: Any) -> str:
    """ITK's name of the type of the numbers in a voxel, such as ``float``."""
    return str(header.GetComponentTypeAsString(header.GetComponentType()))


def _image_type(itk: ModuleType, header: Any, path: Path) -> Any:
    dims, kind = header.GetNumberOfDimensions(), number_type(header)
    if dims not in (2, 3, 4):
        raise InputError(f"{path}: an image of {dims} axes; give one of 2, 3 or 4.")
    if "complex" in header.GetPixelTypeAsString(header.GetPixelType()):
        raise InputError(f"{path}: complex numbers; give their magnitude.")
    if header.GetNumberOfComponents() > 1:
        return itk.VectorImage[itk.F if kind == "float" else itk.D, dims]
    types = {"unsigned_char": itk.UC, "short": itk.SS, "unsigned_short": itk.US, "int": itk.SI, "unsigned_int": itk.UI,
             "float": itk.F, "char": itk.SS}  # fmt: skip
    return itk.Image[types.get(kind, itk.D), dims]


def from_itk(image: Any, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The array (i, j[, k[, t]]) and the RAS affine of an ITK image; raise InputError, naming ``path``, for colours."""
    with quiet_itk() as itk:
        if image.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(
                f"{path}: {image.GetNumberOfComponentsPerPixel()} values a voxel (colours, vectors, or layers of a "
                "segmentation); give one grey channel, or one label map."
            )
        array = itk.array_from_image(image).T
        n = min(image.GetImageDimension(), 3)
        affine = np.eye(4)
        direction = itk.array_from_matrix(image.GetDirection())[:n, :n]
        affine[:n, :n] = direction * np.array([image.GetSpacing()[a] for a in range(n)])
        affine[:n, 3] = [image.GetOrigin()[a] for a in range(n)]
    return array, RAS_TO_LPS @ affine
