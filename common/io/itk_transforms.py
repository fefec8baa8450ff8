"""Displacement fields as ITK's own files: transforms (.h5, .tfm) and vector images (.mha, .nrrd).

A transform file holds a ``CompositeTransform`` with one ``DisplacementFieldTransform`` of double precision, as ITK, 3D
Slicer and ANTs read it. Outside of the field's grid ITK moves nothing, where this library takes the nearest vector.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError

Frame = tuple[np.ndarray, np.ndarray, np.ndarray]  # vectors (*spatial, D), matrix (D, D), origin (D,), LPS mm


@contextmanager
def quiet_itk() -> Iterator[ModuleType]:
    """Import ITK, whose wrapping raises DeprecationWarnings from C and crashes where warnings are errors.

    Raises:
        OSError: with the last line of what ITK says.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import itk

        try:
            yield itk
        except RuntimeError as error:
            raise OSError(str(error).strip().splitlines()[-1]) from error


def write_transform(path: Path, vectors: np.ndarray, matrix: np.ndarray, origin: np.ndarray) -> None:
    """Write ``vectors`` (*spatial, D) in LPS mm on a grid of this frame, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    # the temporary name keeps the ending, by which ITK chooses the format
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with quiet_itk() as itk:
            # a variable of its own: ITK's image is a view of it
            by_itk = np.ascontiguousarray(_axes_turned(vectors, len(origin)), dtype=np.float64)
            composite = itk.CompositeTransform[itk.D, len(origin)].New()
            composite.AddTransform(_transform(itk, by_itk, matrix, origin))
            itk.transformwrite([composite], str(temporary), compression=True)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another output") from error


def _axes_turned(array: np.ndarray, dims: int) -> np.ndarray:
    return np.moveaxis(array, range(dims), range(dims)[::-1])


def _transform(itk: ModuleType, by_itk: np.ndarray, matrix: np.ndarray, origin: np.ndarray) -> Any:
    dims = len(origin)
    spacing = np.linalg.norm(matrix, axis=0)
    kind = itk.Image[itk.Vector[itk.D, dims], dims]
    image = itk.image_view_from_array(by_itk, ttype=kind)
    image.SetOrigin([float(v) for v in origin])
    image.SetSpacing([float(v) for v in spacing])
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(matrix / spacing)))
    transform = itk.DisplacementFieldTransform[itk.D, dims].New()
    transform.SetDisplacementField(image)
    return transform


def read_transform(path: Path) -> Frame:
    """Read the one displacement field of a transform file, by itself or in a composite.

    Raises:
        InputError: other transforms, or several. OSError: unreadable.
    """
    with quiet_itk() as itk:
        found = [part for transform in itk.transformread(str(path)) for part in _parts(itk, transform)]
        names = [type(part).__name__ for part in found]
        if len(found) != 1 or "DisplacementFieldTransform" not in names[0]:
            raise InputError(
                f"{path}: holds {', '.join(n.removeprefix('itk') for n in names) or 'nothing'}; "
                "give a file of one displacement field."
            )
        return _frame(itk, found[0].GetDisplacementField())


def _parts(itk: ModuleType, transform: Any) -> list[Any]:
    transform = itk.down_cast(transform)
    if "CompositeTransform" not in type(transform).__name__:
        return [transform]
    return [p for n in range(transform.GetNumberOfTransforms()) for p in _parts(itk, transform.GetNthTransform(n))]


def read_vectors(path: Path) -> Frame:
    """Read a vector image of ITK, whose components stand as they are: LPS mm.

    Raises:
        InputError: not as many components as axes. OSError: unreadable.
    """
    with quiet_itk() as itk:
        image = itk.imread(str(path))
        if image.GetNumberOfComponentsPerPixel() != image.GetImageDimension():
            raise InputError(f"{path}: {image.GetNumberOfComponentsPerPixel()} values a voxel are no displacement.")
        return _frame(itk, image)


def _frame(itk: ModuleType, image: Any) -> Frame:
    dims = image.GetImageDimension()
    array = _axes_turned(itk.array_from_image(image), dims)
    spacing, origin = ([get()[a] for a in range(dims)] for get in (image.GetSpacing, image.GetOrigin))
    return array, itk.array_from_matrix(image.GetDirection()) * np.array(spacing), np.array(origin)
