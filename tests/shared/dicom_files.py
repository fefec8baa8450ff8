"""Tiny DICOM files, by pydicom: single images, and enhanced ones of many frames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

STORAGE = "1.2.840.10008.5.1.4.1.1."
MR, ENHANCED_MR, CAPTURE = STORAGE + "4", STORAGE + "4.1", STORAGE + "7"
UNSIGNED = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0}
UPRIGHT = [1, 0, 0, 0, 1, 0]


def item(**attributes: Any) -> Dataset:
    """A dataset with these attributes."""
    return _filled(Dataset(), attributes)


def _filled(made: Dataset, attributes: dict[str, Any]) -> Dataset:
    """``made`` with all attributes that are not None, however odd: pydicom warns of some that tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in attributes.items():
            if value is not None:
                setattr(made, name, value)
    return made


def write_file(path: Path, pixels: np.ndarray, sop_class: str = MR, **attributes: Any) -> Path:
    """Write ``pixels`` (i, j) or (frames, i, j) of 16 bits as a file; an attribute that is None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = attributes.get("SOPInstanceUID") or generate_uid()
    meta.FileMetaInformationGroupLength = 0  # to be written, with the value it has
    made = FileDataset(
        str(path), {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True
    )  # fmt: skip
    rows = np.moveaxis(pixels, -1, -2)
    given = {
        "SOPClassUID": sop_class, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "Modality": "MR",
        "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": rows.shape[-2], "Columns": rows.shape[-1], **UNSIGNED,
        "PixelData": rows.astype("<u2").tobytes(), **({"NumberOfFrames": len(rows)} if rows.ndim == 3 else {}),
    }  # fmt: skip
    _filled(made, given | attributes)
    if "PixelData" in made:
        made["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)
    return path


def write_slice(path: Path, pixels: np.ndarray, z: float, number: int | None = 1, **attributes: Any) -> Path:
    """Write one upright slice of 1.5 mm pixels, 8 mm thick, at ``z``."""
    place = {"ImagePositionPatient": [-50.0, -60.0, z], "ImageOrientationPatient": UPRIGHT, "PixelSpacing": [1.5, 1.5]}
    return write_file(path, pixels, **(place | {"SliceThickness": 8.0, "InstanceNumber": number} | attributes))


def write_frames(
    path: Path,
    pixels: np.ndarray,
    zs: Sequence[float],
    contents: Sequence[dict[str, Any]] | None = None,
    groups: Sequence[dict[str, Any]] | None = None,
    **attributes: Any,
) -> Path:
    """Write ``pixels`` (frames, i, j) as an enhanced file, at ``zs``, each with its content and other groups."""
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=[1.5, 1.5], SliceThickness=8.0)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=UPRIGHT)],
    )
    own = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-50.0, -60.0, float(z)])],
            **({"FrameContentSequence": [item(**contents[n])]} if contents else {}),
            **(groups[n] if groups else {}),
        )
        for n, z in enumerate(zs)
    ]
    sequences = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": own}
    return write_file(path, pixels, **({"sop_class": ENHANCED_MR} | sequences | attributes))
