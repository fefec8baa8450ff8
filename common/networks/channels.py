"""The maps in a network's prediction, by the names of its channels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NUMBERED = re.compile(r"(.+)_\d+")


def name_of(channel: str) -> str:
    """The map that a channel is of: "ddf" for "ddf_0", "warped" for "warped"."""
    numbered = NUMBERED.fullmatch(channel)
    return numbered[1] if numbered else channel


def maps_of(pred: NDArray, channels: Sequence[str]) -> dict[str, NDArray]:
    """Split a prediction (channels, *spatial): a numbered map is (n, *spatial), any other (*spatial)."""
    parts: dict[str, list[NDArray]] = {}
    for channel, values in zip(channels, pred, strict=True):
        parts.setdefault(name_of(channel), []).append(values)
    return {name: np.stack(each) if name not in channels else each[0] for name, each in parts.items()}
