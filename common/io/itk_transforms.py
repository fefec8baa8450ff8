"""Displacement fields and linear transforms as ITK's own files: transforms (.h5, .tfm, .mat) and vector images.

A transform file of ours holds a ``CompositeTransform`` with one ``DisplacementFieldTransform`` of double precision, as
ITK, 3D Slicer and ANTs read it. Outside of the field's grid ITK moves nothing, where this library takes the nearest
vector.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError
from ..fields import Affine, Chain, Field, affine_of
from .itk_images import itk_header, itk_image, number_type
from .quiet import quiet_itk, silent
from .transform_files import check_kind, known_to_itk

Frame = tuple[np.ndarray, np.ndarray, np.ndarray]  # vectors (*spatial, D), matrix (D, D), origin (D,), LPS mm


def write_transform(path: Path, vectors: np.ndarray, matrix: np.ndarray, origin: np.ndarray) -> None:
    """Write ``vectors`` (*spatial, D) in LPS mm on a grid of this frame, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    # the temporary name keeps the ending, by which ITK chooses the format
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with quiet_itk() as itk, silent():
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


def read_chain(path: Path) -> Chain:
    """Read a transform file of ITK: displacement fields and linear transforms, by themselves or in a composite.

    Raises:
        InputError: transforms of other kinds, several in no composite, or a file of another program. OSError:
            unreadable.
    """
    check_kind(path)
    with quiet_itk() as itk, silent(), known_to_itk(path) as name:
        read = list(itk.transformread(name))
        if len(read) != 1:
            raise InputError(f"{path}: holds {len(read)} transforms in no order; give a composite, or a file for each.")
        return Chain(tuple(_part(itk, path, each) for each in reversed(_parts(itk, read[0]))))


def _parts(itk: ModuleType, transform: Any) -> list[Any]:
    transform = itk.down_cast(transform)
    if "CompositeTransform" not in type(transform).__name__:
        return [transform]
    return [p for n in range(transform.GetNumberOfTransforms()) for p in _parts(itk, transform.GetNthTransform(n))]


def _part(itk: ModuleType, path: Path, transform: Any) -> Field | Affine:
    name = type(transform).__name__.removeprefix("itk")
    if "DisplacementFieldTransform" in name:
        vectors, matrix, origin = _frame(itk, transform.GetDisplacementField())
        return Field(vectors, affine_of(matrix, origin))
    if not hasattr(transform, "IsLinear") or not transform.IsLinear():
        raise InputError(
            f"{path}: holds {name}, neither linear nor a displacement field; make it one by ITK's "
            "TransformToDisplacementFieldFilter."
        )
    dims = transform.GetInputSpaceDimension()
    corners = np.array([list(transform.TransformPoint([float(v) for v in p])) for p in (*np.eye(dims), np.zeros(dims))])
    return Affine((corners[:-1] - corners[-1]).T, corners[-1])


def read_vectors(path: Path) -> Frame:
    """Read a vector image of ITK, whose components stand as they are: LPS mm.

    Raises:
        InputError: not as many components as axes, whole numbers, or too large. OSError: unreadable.
    """
    image = itk_image(path)
    with quiet_itk() as itk:
        dims, components = image.GetImageDimension(), image.GetNumberOfComponentsPerPixel()
        if dims not in (2, 3) or components != dims:
            raise InputError(
                f"{path}: {components} values a voxel in {dims}D are no displacement; give one for each axis."
            )
        if (kind := number_type(itk_header(path))) not in ("float", "double"):
            raise InputError(f"{path}: {components} values a voxel of {kind} are colours or layers, no displacement.")
        return _frame(itk, image)


def _frame(itk: ModuleType, image: Any) -> Frame:
    dims = image.GetImageDimension()
    array = _axes_turned(itk.array_from_image(image), dims)
    spacing, origin = ([get()[a] for a in range(dims)] for get in (image.GetSpacing, image.GetOrigin))
    return array, itk.array_from_matrix(image.GetDirection()) * np.array(spacing), np.array(origin)
