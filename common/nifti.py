"""NIfTI files, read as ITK reads them; written whole or not at all."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from .errors import InputError
from .files import write_bytes
from .forms import TIMES, is_sheared, nifti_affine, scaling, set_forms
from .label_values import whole_type
from .memory import check_size
from .voxels import opened, read_voxels

UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError)
"""What nibabel raises for a file that is no image, or not a whole one."""
KINDS = (nib.Nifti1Header, nib.Nifti2Header, nib.AnalyzeHeader)
KEPT = ("intent_code", "intent_p1", "intent_p2", "intent_p3", "intent_name", "descrip", "aux_file")
PAIRS = {".hdr": ".img", ".hdr.gz": ".img.gz"}  # the file of the header -> that of the voxels
SMALLEST, LARGEST = 1e-6, 1e6  # mm a voxel: beyond, the header is wrong


def load_nifti(path: str | Path) -> nib.Nifti1Image:
    """Read a file of NIfTI (.nii, .nii.gz, .hdr with .img) or Analyze, with a line on stdout where ITK refuses it.

    Returns:
        an image whose affine and header are in mm, as ITK reads them (`nifti_affine`), its numbers scaled.

    Raises:
        InputError: no such file, none of NIfTI, damaged, too large, or of no place in space.
    """
    path = Path(path)
    header_path, voxel_path = _files(path)
    header = nifti_header(header_path)
    try:
        shape, dtype = _shape(header), _dtype(header)
        affine, offset = nifti_affine(header), _offset(header, voxel_path == header_path)
        check_affine(path, affine)
        check_size(path, shape, dtype.itemsize)
        array = _scaled(read_voxels(voxel_path, shape, dtype, offset), *scaling(header))
        _warn(path, header, affine)
        return _image(array, affine, header)
    except (ImageFileError, HeaderDataError, OverflowError) as error:
        raise _unreadable(path, error) from error


def nifti_header(path: str | Path) -> nib.AnalyzeHeader:
    """Read the header of a file of NIfTI or Analyze, as it is, and not its voxels.

    Raises:
        InputError: no such file, or none of NIfTI.
    """
    path = _files(Path(path))[0]
    with opened(path) as file:
        start = file.read(nib.Nifti2Header.template_dtype.itemsize)
    for kind in KINDS:
        if len(start) >= kind.template_dtype.itemsize and kind.may_contain_header(start):
            return kind(start[: kind.template_dtype.itemsize], check=False)
    raise InputError(f"{path}: cannot be read (no header of NIfTI); is the file whole?")


def extension_codes(path: str | Path) -> list[int]:
    """Read the codes of the extensions behind the header of a file of NIfTI; 4 is AFNI's.

    Raises:
        InputError: as `nifti_header`.
    """
    header = nifti_header(path)
    if not isinstance(header, nib.Nifti1Header):
        return []
    start = header.template_dtype.itemsize + 4  # and whether there are any
    swapped = header.endianness != nib.volumeutils.native_code
    with opened(_files(Path(path))[0]) as file:
        flag = file.read(start)[-4:]
        size = int(header["vox_offset"]) - start
        if flag[:1] in (b"", b"\0") or size <= 0:
            return []
        try:
            return [e.get_code() for e in header.exts_klass.from_fileobj(file, size, swapped)]
        except HeaderDataError:  # they do not matter to the voxels
            return []


def header_grid(path: str | Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Read the shape and the voxel-to-RAS affine (4, 4) of a file of NIfTI or Analyze, and not its voxels.

    Raises:
        InputError: as `load_nifti`.
    """
    header = nifti_header(path)
    try:
        shape, affine = _shape(header), nifti_affine(header)
    except HeaderDataError as error:
        raise _unreadable(Path(path), error) from error
    check_affine(path, affine)
    return shape, affine


def check_affine(path: str | Path, affine: np.ndarray) -> None:
    """Refuse an affine that is no (4, 4) of numbers, singular, or of voxels that no image has.

    Raises:
        InputError: naming ``path``.
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.abs(affine[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise InputError(f"{path}: its affine is {affine.tolist()}; give (4, 4), from voxels to RAS mm.")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (lengths.min() >= SMALLEST and lengths.max() <= LARGEST):
        raise InputError(f"{path}: voxels of {_text(lengths)} mm; correct the voxel size in its header.")
    if abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise InputError(
            f"{path}: its affine is {affine.tolist()}, of axes in one plane; give (4, 4) that is no plane."
        )


def save_image(
    path: str | Path,
    array: np.ndarray,
    affine: np.ndarray,
    window: tuple[float, float] | None = None,
    note: str = "",
) -> None:
    """Write ``array`` as NIfTI in one step, see `stored` and `save_nifti`.

    Args:
        window: the values that a viewer shows from black to white; None leaves it to choose.
        note: what the image is, in at most 79 letters of ASCII.
    """
    image = nib.Nifti1Image(stored(array), affine)
    image.header.set_xyzt_units("mm")
    describe(image.header, window, note)
    save_nifti(path, image)


def describe(header: nib.Nifti1Header, window: tuple[float, float] | None, note: str) -> None:
    """Put ``window`` (the values from black to white) and ``note`` (79 letters at most) into a header."""
    if window is not None:
        header["cal_min"], header["cal_max"] = window
    header["descrip"] = note.encode("ascii", "replace")[:79]


def stored(array: np.ndarray) -> np.ndarray:
    """``array`` in the type of a file: floats as float32, whole numbers and masks as `whole_type` has it."""
    if array.dtype.kind not in "bui":
        return np.ascontiguousarray(array, dtype=np.float32)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    return np.ascontiguousarray(array, dtype=whole_type(low, high))


def save_nifti(path: str | Path, image: nib.Nifti1Image) -> None:
    """Write ``image`` in one step, both of its forms its affine; a name that ends with .gz is compressed."""
    set_forms(image.header, image.affine)
    content, is_compressed = image.to_bytes(), str(path).lower().endswith(".gz")
    write_bytes(path, gzip.compress(content, compresslevel=1, mtime=0) if is_compressed else content)


def _files(path: Path) -> tuple[Path, Path]:
    """The files of header and voxels: one, or of a pair the two."""
    name = path.name
    for header, voxels in PAIRS.items():
        for own in (header, voxels):
            if name.lower().endswith(own):
                base, upper = name[: -len(own)], name[-len(own) :].isupper()
                return tuple(path.with_name(base + (e.upper() if upper else e)) for e in (header, voxels))  # type: ignore[return-value]
    return path, path


def _shape(header: nib.AnalyzeHeader) -> tuple[int, ...]:
    if not 1 <= header["dim"][0] <= 7:
        raise HeaderDataError(f"its header has {header['dim'][0]} axes")
    shape = tuple(int(n) for n in header.get_data_shape())
    if min(shape) < 1:
        raise HeaderDataError(f"its header has the shape {list(shape)}")
    return shape


def _dtype(header: nib.AnalyzeHeader) -> np.dtype:
    try:
        return header.get_data_dtype()
    except KeyError as error:
        raise HeaderDataError(f"its type of numbers is {int(header['datatype'])}, which is none") from error


def _offset(header: nib.AnalyzeHeader, single: bool) -> int:
    value, least = float(header["vox_offset"]), header.template_dtype.itemsize if single else 0
    if not 0 <= value < 2**62:
        raise HeaderDataError(f"its voxels begin at byte {value:g}")
    return max(int(value), least)  # as ITK


def _scaled(array: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``array`` in the machine's order of bytes, with its numbers scaled, if they are, as float64."""
    if array.dtype.kind in "biuf" and (slope, intercept) != (1.0, 0.0):
        return array * np.float64(slope) + np.float64(intercept)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _image(array: np.ndarray, affine: np.ndarray, header: nib.AnalyzeHeader) -> nib.Nifti1Image:
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    clean = kind.header_class()
    clean.set_data_dtype(array.dtype)
    clean.set_data_shape(array.shape)
    set_forms(clean, affine)
    fields: Any = header.keys()
    for key in KEPT:
        if key in fields:
            clean[key] = header[key]
    clean["pixdim"][4:] = header["pixdim"][4:]
    time = int(header["xyzt_units"]) & 0x38 if "xyzt_units" in fields else 0
    clean["xyzt_units"] = 2 + (time if time in TIMES else 0)
    return kind(array, affine, clean, dtype=array.dtype)


def _warn(path: Path, header: nib.AnalyzeHeader, affine: np.ndarray) -> None:
    if not isinstance(header, nib.Nifti1Header):
        print(f"warning: {path}: a file of Analyze, which does not tell left from right; read as ITK reads it")
    elif is_sheared(affine):
        print(
            f"warning: {path}: its axes are not at right angles, so ITK refuses it, and what is written on its grid "
            "as NIfTI; read as it says"
        )
    elif header["sform_code"] > 0 and not np.isfinite([header[f"srow_{axis}"] for axis in "xyz"]).all():
        print(f"warning: {path}: its sform is not finite, with which ITK refuses it or has no place; read by its qform")


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read ({str(error).strip()}); is the file whole?")


def _text(values: np.ndarray) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
