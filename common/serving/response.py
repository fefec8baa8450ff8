"""From a prediction to what the client gets: one image on the fixed image's grid, and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from ..files import nulls
from ..networks.channels import name_of
from ..refinement import Report
from ..registration.look import look
from ..registration.numbers import summary
from ..registration.register import registration_of
from .refusal import refusing

MAPS = ("displacement_log_variance", "log_variance", "score", "ddf_variance", "label_uncertainty")
"""The maps that "uncertainty" can stand for, the first that a network has."""


class ImageOfPrediction:
    """The transform behind the network: put the result that was asked for, and nothing else, in ``pred``.

    ``pred`` becomes (1, i, j, k) on the fixed image's grid, as it is to be written: nothing is left to resize,
    and a method's map is NaN where nothing was seen.
    ``result`` becomes the numbers of `numbers.summary`, with ``shown``, the output that ``pred`` is, and what the
    ``refinement`` of the network of `refining` did; ``registration`` is all of it.

    Raises (or answers with status 400):
        InputError: steps that the request asks for, of a server that has not asked `refining`.
    """

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return ``data`` with the result in it."""
        task, channels = data["task"], data["channels"]
        with refusing():
            chosen = map_of(data["result"], channels)
            found = registration_of(task, data["pred"], channels, refined=_refined(data))
            refined = None if found.refined is None else found.refined._asdict()
            numbers = {"shown": chosen, "refinement": refined, **nulls(summary(found))}
        image = look(chosen, found.images[chosen], found.seen).array
        image = image[..., None] if image.ndim == 2 else image
        return {**data, "pred": image[None], "registration": found, "result": numbers}


def _refined(data: dict[str, Any]) -> Report | None:
    """What the refinement of this request did."""
    if "refinement" not in data and data.get("refine"):
        raise InputError(f"refine is {data['refine']}: this server cannot refine; leave it out.")
    refinement = data.get("refinement")
    return None if refinement is None else refinement.report()


def results_of(channels: Sequence[str], labelled: bool) -> list[str]:
    """Return what a request can ask for of a network with these channels: with a moving label or without."""
    named = list(dict.fromkeys(map(name_of, channels)))
    maps = [name for name in named if name in MAPS]
    of_label = ["warped_label", *(name for name in named if name == "segmentation")] if labelled else []
    return ["warped", *(["uncertainty"] if maps else []), "jacobian", *of_label, *maps]


def check_result(asked: Any, channels: Sequence[str]) -> str:
    """Return the result that is asked for: the first of a list, "warped" where nothing is.

    Raises:
        InputError: a network that has no such map, or a word that means nothing.
    """
    asked = (asked[0] if asked else None) if isinstance(asked, list) else asked
    asked = "warped" if asked in (None, "") else asked
    given = results_of(channels, labelled=True)
    if asked == "uncertainty" and asked not in given:
        raise InputError("this model has no uncertainty map; ask a model that has one, such as hetero or adacs.")
    if asked not in given:
        raise InputError(f"result is {asked!r}; this model gives {', '.join(given)}.")
    return str(asked)


def map_of(result: str, channels: Sequence[str]) -> str:
    """Return the output that ``result`` means: of "uncertainty", the network's first map."""
    if result != "uncertainty":
        return result
    named = set(map(name_of, channels))
    return next(name for name in MAPS if name in named)
