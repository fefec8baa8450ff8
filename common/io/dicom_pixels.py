"""The values of the planes of DICOM files, as their headers rescale them.

pydicom reads what is not compressed, or by run lengths; the rest is decoded by ITK's GDCM, from a copy without anything
that GDCM would make of the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .dicom_headers import quiet_pydicom, quoted, read_header
from .dicom_planes import Plane
from .quiet import quiet_itk, silent

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BY_PYDICOM = tuple(f"1.2.840.10008.1.2{ending}" for ending in ("", ".1", ".1.99", ".2", ".5"))
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
SHAPE = ("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelRepresentation")
BITS = ("BitsAllocated", "BitsStored", "HighBit")


def read_values(planes: Sequence[Plane]) -> dict[Plane, np.ndarray]:
    """The values (i, j) of each plane: as they are stored, or float32 where any is rescaled.

    Raises:
        InputError: pixels that are missing, cut off, or compressed by what cannot be decoded.
    """
    stored: dict[Path, np.ndarray] = {}
    rescaled = any(plane.scale != (1.0, 0.0) for plane in planes)
    values = {}
    for plane in sorted(planes, key=lambda plane: plane.path):  # each file once, and one at a time
        if plane.path not in stored:
            stored = {plane.path: _stored(plane.path)}
        array = stored[plane.path][plane.frame].T
        if rescaled:
            array = (array * plane.scale[0] + plane.scale[1]).astype(np.float32)
        values[plane] = array
    return values


def _stored(path: Path) -> np.ndarray:
    """Of all frames, (frames, rows, columns)."""
    header = read_header(path, pixels=True)
    with quiet_pydicom(path) as pydicom:
        if not any(header.get(name) for name in PIXELS):
            raise InputError(f"{path}: holds no pixels; is the file whole?")
        if "TransferSyntaxUID" not in header.file_meta:  # old files have nothing before their data
            header.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        syntax = header.file_meta.TransferSyntaxUID
        if syntax not in BY_PYDICOM:
            array = _by_itk(pydicom, header, path, quoted(getattr(syntax, "name", syntax)))
        else:
            array = _meant(header.pixel_array, header) if "PixelData" in header else header.pixel_array
        return array.reshape(int(header.get("NumberOfFrames") or 1), header.Rows, header.Columns)


def _meant(array: np.ndarray, header: Dataset) -> np.ndarray:
    """Of the bits of a pixel those that are its value: others may hold an overlay, or lack the sign."""
    allocated = array.dtype.itemsize * 8
    bits = int(header.get("BitsStored") or allocated)
    low = int(header.get("HighBit", bits - 1)) + 1 - bits
    if header.BitsAllocated == 1 or not 0 < bits < allocated or not 0 <= low <= allocated - bits:
        return array
    return np.right_shift(np.left_shift(array, allocated - bits - low), allocated - bits)


def _by_itk(pydicom: ModuleType, header: Dataset, path: Path, syntax: str) -> np.ndarray:
    kept = [pydicom.datadict.tag_for_keyword(name) for name in (*SHAPE, *BITS, "PixelData")]
    for tag in [tag for tag in header.keys() if tag not in kept]:  # noqa: SIM118  iterating would parse them all
        del header[tag]
    header.SOPClassUID, header.SOPInstanceUID = CAPTURE, "1.2.3"
    try:
        with TemporaryDirectory() as folder, quiet_itk() as itk, silent():
            copy = Path(folder) / "pixels.dcm"
            header.save_as(copy)
            itk.Object.GlobalWarningDisplayOff()
            array: np.ndarray = itk.array_from_image(itk.imread(str(copy), imageio=itk.GDCMImageIO.New()))
            return array
    except (OSError, ValueError) as error:  # a ValueError: a syntax that pydicom has not heard of
        raise InputError(
            f"{path}: compressed as {syntax}, which cannot be decoded here, or its pixels are damaged; "
            "decompress it first, for instance by gdcmconv --raw, or dcmdjpeg."
        ) from error
