"""The method's maps on the fixed image's own grid, and what they are where nothing was registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..networks.channels import name_of
from .tasks import Task

UNCERTAINTY = "displacement_log_variance"
OUTSIDE = {"log_variance": 0.0, "score": 0.0, UNCERTAINTY: 10.0, "ddf_variance": float(np.exp(10))}
"""Map -> its value where nothing was registered: trust nothing. A log variance of 0 is a standard deviation of the
whole intensity range, a score of 0 no correspondence, a displacement's log variance of 10 (a variance of e^10 between
the fields of an ensemble) a deviation of 148 of the network's voxels."""
UNKNOWN_LABEL = 2.0
"""``label_uncertainty`` there: the error, summed over the classes, of a label that is certainly wrong."""


def maps_of(task: Task, pred: Tensor, channels: Sequence[str]) -> dict[str, Tensor]:
    """The maps of a prediction, (S, *turned native grid); outside of what the network saw as `OUTSIDE` has them.

    A network with classes that was given a moving label adds "segmentation" (uint8), its most probable class, 0
    outside. "label_uncertainty" is the expected error of the classes' shares, summed over the classes (0 sure, 2
    certainly wrong and outside); a network predicts it from the images alone, an ensemble needs the label.
    "uncertainty_mm" is the standard deviation of the displacement along one axis, where the network predicts one.

    Args:
        pred: (S, C, *region), channels as ``channels`` names them.
    """
    place: Callable[..., Tensor] = lambda channels, fill=0.0: task.place(pred[:, channels], fill)  # noqa: E731
    maps = {name: place([number], OUTSIDE[name])[:, 0] for number, name in enumerate(channels) if name in OUTSIDE}
    classes, errors = (numbered(channels, name) for name in ("segmentation", "label_uncertainty"))
    if classes and task.labelled:
        maps["segmentation"] = place(classes).argmax(1).to(torch.uint8)
    if errors and (task.labelled or "ddf_variance" not in channels):
        total = pred[:, errors].sum(1, keepdim=True).clamp(max=UNKNOWN_LABEL)
        maps["label_uncertainty"] = task.place(total, UNKNOWN_LABEL)[:, 0]
    nowhere = {**OUTSIDE, "segmentation": 0, "label_uncertainty": UNKNOWN_LABEL}
    maps = {name: task.where_reached(values, nowhere[name]) for name, values in maps.items()}
    if UNCERTAINTY in maps:
        voxel = float(np.sqrt(np.mean(np.square(task.spacing))))
        maps["uncertainty_mm"] = torch.exp(maps[UNCERTAINTY] / 2) * voxel
    return maps


def numbered(channels: Sequence[str], name: str) -> list[int]:
    """Where ``name_0``, ``name_1``, ... are among the ``channels``; [] if they are not."""
    return [number for number, channel in enumerate(channels) if name_of(channel) == name != channel]
