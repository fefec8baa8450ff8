"""From a request to what the network takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError
from ..registration.region import Framing
from ..registration.tasks import tasks
from .refusal import refusing
from .response import check_result, results_of
from .studies import read_studies


class PairOfRequest:
    """The first and only transform before the network: read the images that a request names, and frame them.

    Sets ``image`` (S, inputs, *region), ``image_meta_dict`` (the fixed image's grid, as MONAI Label's writer reads
    it), ``task``, ``channels`` (what the prediction will hold) and ``result`` (which of it is wanted).

    Args:
        network: the bundle's, with or without weights: what it takes and gives.
        framing: where it looks in the images; the request's ``center`` goes before.

    Raises (or answers with status 400):
        InputError: as `read_studies`, a result that the network does not give, or images that are constant or do not
            overlap.
    """

    def __init__(self, network: nn.Module, framing: Framing | None = None) -> None:
        self.network, self.framing = network, framing or Framing()

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return ``data`` with the network's input in it."""
        channels = self.network.channels
        with refusing(Path(str(data.get("image") or "")).parent):
            wanted = check_result(data.get("result"), channels)
            case = read_studies(data)
            if wanted not in (given := results_of(channels, case.label is not None)):
                raise InputError(f"result {wanted!r} needs a moving_label; without one there are {', '.join(given)}.")
            task = next(tasks(self.network, self._framing(data), [case]))
        native = {"spatial_shape": (*case.fixed.array.shape, 1)[:3], "original_affine": case.fixed.affine}
        found = {"image": task.image, "image_meta_dict": native, "task": task}
        return {**data, **found, "channels": channels, "result": wanted}

    def _framing(self, data: dict[str, Any]) -> Framing:
        center = data.get("center")
        center = center[0] if isinstance(center, list) and center and isinstance(center[0], str) else center
        return replace(self.framing, center=center) if center else self.framing
