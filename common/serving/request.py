"""From a request to what the network takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..collection.weights import FOLDER, weights_in
from ..errors import InputError
from ..registration.card import card_of
from ..registration.region import Framing
from ..registration.tasks import tasks
from .parameters import INFER, check_parameters, whole_number
from .refusal import refusing
from .response import check_result, results_of
from .studies import read_studies


class PairOfRequest:
    """The first and only transform before the network: read the images that a request names, and frame them.

    Sets ``image`` (S, inputs, *region), ``image_meta_dict`` (the fixed image's grid, as MONAI Label's writer reads
    it), ``task``, ``channels`` (what the prediction will hold), ``result`` (which of it is wanted) and ``refine`` (by
    how many steps, None if that is not said; the server asks `refining` for the network of this request).

    Args:
        network: the bundle's, with or without weights: what it takes and gives.
        framing: where it looks in the images; the request's ``center`` goes before, and the card of the weights that
            its ``model_filename`` names.
        bundle_root: the folder of the bundle, whose weights these are.

    Raises (or answers with status 400):
        InputError: as `read_studies`, a result that the network does not give, steps that are no number of them, or
            images that are constant or do not overlap.
    """

    def __init__(self, network: nn.Module, framing: Framing | None = None, bundle_root: str | Path = "") -> None:
        self.network, self.framing, self.models = network, framing or Framing(), Path(bundle_root) / FOLDER

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return ``data`` with the network's input in it."""
        channels = self.network.channels
        with refusing(Path(str(data.get("image") or "")).parent):
            wanted = check_result(data.get("result"), channels)
            check_parameters({"refine": data.get("refine")}, INFER)
            case = read_studies(data)
            if wanted not in (given := results_of(channels, case.label is not None)):
                raise InputError(f"result {wanted!r} needs a moving_label; without one there are {', '.join(given)}.")
            task = next(tasks(self.network, self._framing(data), [case]))
        native = {"spatial_shape": (*case.fixed.array.shape, 1)[:3], "original_affine": case.fixed.affine}
        found = {"image": task.image, "image_meta_dict": native, "task": task}
        refine = whole_number(data.get("refine"))
        return {**data, **found, "channels": channels, "result": wanted, "refine": refine}

    def _framing(self, data: dict[str, Any]) -> Framing:
        center, weights = (_first(data.get(key)) for key in ("center", "model_filename"))
        framing = replace(self.framing, center=center) if center else self.framing
        file = self.models / weights if isinstance(weights, str) else None
        return replace(framing, trained=card_of(file)) if weights_in(file) else framing


def refining(network: nn.Module, data: dict[str, Any]) -> nn.Module:
    """The network of one request: with the weights that all requests share, and a refinement that none shares.

    Sets ``refinement``, that of this request.

    Args:
        network: with its weights.
        data: of `PairOfRequest`.

    Raises:
        InputError: steps are asked for of a network that does not refine.
    """
    asked = data.get("refine")
    if own_steps(network) is None:
        if asked:
            raise InputError(f"refine is {asked}: this model does not refine; leave it out.")
        return network
    own = network.refining(asked)
    data["refinement"] = own.refinement
    return own


def own_steps(network: nn.Module) -> int | None:
    """By how many steps a network refines where a request does not say it; None if no request can say it."""
    refinement = getattr(network, "refinement", None)
    return None if refinement is None or not hasattr(network, "refining") else refinement.steps


def _first(value: Any) -> Any:
    """The default of a list of choices."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], str) else value
