"""From a request to what the network takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError
from ..registration.region import Framing
from .matching import matched_case
from .refusal import refusing
from .response import check_result, results_of
from .studies import read_studies


class PairOfRequest:
    """The first and only transform before the network: read the images that a request names, and frame them.

    Sets ``image`` (S, inputs, *region), ``image_meta_dict`` (the native grid, as MONAI Label's writer reads it),
    ``case``, ``channels`` (what the prediction will hold), ``result`` (which of it is wanted) and ``resampled``:
    whether images had to be brought onto the fixed image's grid, see `matched_case`.

    Args:
        network: the bundle's, with or without weights: what it takes and gives.
        framing: where it looks in the images; the request's ``center`` goes before.

    Raises (or answers with status 400):
        InputError: as `read_studies`, a result that the network does not give, or images that are constant or do not
            overlap.
    """

    def __init__(self, network: nn.Module, framing: Framing | None = None) -> None:
        self.spatial_dims, self.channels = network.spatial_dims, network.channels
        self.framing, self.network = framing or Framing(), network

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return ``data`` with the network's input in it."""
        with refusing(Path(str(data.get("image") or "")).parent):
            wanted = check_result(data.get("result"), self.channels)
            pair = read_studies(data, self.spatial_dims)
            if wanted not in (given := results_of(self.channels, pair.moving_label is not None)):
                raise InputError(f"result {wanted!r} needs a moving_label; without one there are {', '.join(given)}.")
            case, resampled = matched_case(pair, self._framing(data), self.spatial_dims)
            image = case.network_input(self.network)
        native = {"spatial_shape": volume_shape(case.moving.shape), "original_affine": case.affine}
        found = {"image": image, "image_meta_dict": native, "case": case, "fixed_image": pair.fixed.array}
        return {**data, **found, "channels": self.channels, "result": wanted, "resampled": resampled}

    def _framing(self, data: dict[str, Any]) -> Framing:
        center = data.get("center")
        center = center[0] if isinstance(center, list) and center and isinstance(center[0], str) else center
        return replace(self.framing, center=center) if center else self.framing


def volume_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(i, j, k) of an image (i, j) or (i, j, k): a lone slice is a volume of one."""
    return (*shape, 1)[:3]
