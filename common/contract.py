"""What a displacement estimator must have, said in one line where one lacks it: anyone may bring their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .errors import InputError
from .interfaces import Deformation
from .sizes import is_tracing


def dimensions(estimator: Any) -> int:
    """How many dimensions the images have that ``estimator`` registers, as its ``spatial_dims`` says.

    Raises:
        InputError: if it does not say, or neither 2 nor 3.
    """
    dims, name = getattr(estimator, "spatial_dims", None), type(estimator).__name__
    if dims not in (2, 3):
        said = "it has no spatial_dims" if dims is None else f"its spatial_dims is {dims!r}"
        raise InputError(f"{name}: {said}; set self.spatial_dims to 2 or 3, the dimensions of the images it registers.")
    return dims


def integration_steps(estimator: Any) -> int:
    """By how many squarings a velocity of ``estimator`` is integrated; 7 of one that does not say."""
    return getattr(estimator, "integration_steps", 7)


def moved_axes(estimator: Any) -> int:
    """Along how many axes, from the first, ``estimator`` moves voxels: all of them, or those of a slice."""
    return dimensions(estimator) - bool(getattr(estimator, "in_plane", False))


def check_reversible(estimator: Any) -> None:
    """Refuse an estimator that cannot register the other way round.

    Raises:
        InputError: naming it.
    """
    if not callable(getattr(estimator, "reverse", None)):
        raise InputError(
            f"{type(estimator).__name__}: it has no reverse(moving, fixed, deformation), which bidirectional training "
            "asks for; `return self(fixed, moving)` will do."
        )


def checked(deformation: Any, estimator: Any, fixed: Tensor) -> Deformation:
    """``deformation`` if it is what ``estimator`` must return for ``fixed`` (B, 1, *spatial).

    Raises:
        InputError: if it is no Deformation, or its field has another shape or half precision.
    """
    name, ddf = type(estimator).__name__, getattr(deformation, "ddf", None)
    if not isinstance(ddf, Tensor):
        raise InputError(
            f"{name}: its forward returns a {type(deformation).__name__}, not a Deformation; "
            f"`return Deformation(ddf=field)` from {__package__}.interfaces."
        )
    if is_tracing():  # where sizes are no numbers, and the network has been seen before
        return deformation
    wanted = (len(fixed), fixed.dim() - 2, *fixed.shape[2:])
    if tuple(ddf.shape) != wanted:
        raise InputError(f"{name}: its ddf is of shape {tuple(ddf.shape)}, but these images need {wanted}.")
    if ddf.dtype in (torch.float16, torch.bfloat16):
        raise InputError(
            f"{name}: its ddf is {ddf.dtype}, too coarse for a field; compute it in float32, "
            "within torch.autocast(device_type, enabled=False)."
        )
    return deformation
