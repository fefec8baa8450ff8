"""When the planes of DICOM files were taken: what orders the frames of a cine, and their times in ms.

What orders a cine is the first of `ORDER` that tells all planes apart at every position. Its times are the first of
`CLOCKS` that rises in that order: those from the trigger first, then the clock on the wall, then a player's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np

TRIGGER = ("NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime", "TriggerTime")
WALL = ("FrameReferenceDateTime", "FrameAcquisitionDateTime", "AcquisitionDateTime")
COUNTED = ("TemporalPositionIndex", "TemporalPositionIdentifier")
ORDER = ("trigger", "offset", *COUNTED, "phase", "acquired", "played", "dimensions", "instance", "made")
CLOCKS = ("trigger", "offset", "acquired", "played")


class Groups(Protocol):
    """Where a plane's attributes are looked up."""

    def get(self, *names: str) -> Any:
        """The first of ``names`` that says something."""


def moments(groups: Groups, frame: int, many: bool) -> dict[str, Any]:
    """What of `ORDER` a plane knows, frame ``frame`` of one or ``many``: numbers, or tuples of them; times in ms."""
    offset = _number(groups.get("TemporalPositionTimeOffset"))
    made = f"{groups.get('ContentDate') or '20000101'}{groups.get('ContentTime') or ''}"
    dimensions, instance = groups.get("DimensionIndexValues"), _number(groups.get("InstanceNumber"))
    found = {
        "trigger": _number(groups.get(*TRIGGER)),
        "offset": None if offset is None else 1000 * offset,
        **{name: _number(groups.get(name)) for name in COUNTED},
        "phase": _number(groups.get("NominalPercentageOfCardiacPhase")),
        "acquired": _acquired(groups),
        "played": _played(groups, frame),
        "dimensions": None if dimensions is None else tuple(np.atleast_1d(dimensions).tolist()),
        "instance": (instance or 0.0, frame) if many or instance is not None else None,
        "made": _milliseconds(made),
    }
    return {name: value for name, value in found.items() if value is not None}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _acquired(groups: Groups) -> float | None:
    whole = groups.get(*WALL)
    date, time = groups.get("AcquisitionDate") or "20000101", groups.get("AcquisitionTime")
    return _milliseconds(str(whole) if whole is not None else f"{date}{time or ''}")


def _milliseconds(text: str) -> float | None:
    """Of ``YYYYMMDDHHMM[SS[.FFFFFF]]``, since 2000; None for anything else."""
    found = re.match(r"(\d{12})(\d{2})?(\.\d{1,6})?", text.replace(":", ""))
    if not found:
        return None
    minutes, seconds, fraction = found.groups(default="0")
    try:
        since = datetime.strptime(minutes, "%Y%m%d%H%M") - datetime(2000, 1, 1)
    except ValueError:
        return None
    return 1000 * (since.total_seconds() + float(seconds) + float(fraction))


def _played(groups: Groups, frame: int) -> float | None:
    """When a loop shows a frame: by its time a frame, or by those from each frame to the next."""
    steps = groups.get("FrameTimeVector")
    if steps is not None and np.ndim(steps) == 1 and frame < len(steps):
        return _number(np.sum([float(step) for step in steps[1 : frame + 1]]))
    step = _number(groups.get("FrameTime"))
    return frame * step if step else None


def order_of(places: Sequence[Sequence[dict[str, Any]]]) -> str | None:
    """The first of `ORDER` that tells the moments of every place apart; None if none does."""
    return next((name for name in ORDER if all(_apart(place, name) for place in places)), None)


def _apart(place: Sequence[dict[str, Any]], name: str) -> bool:
    values = [moment.get(name) for moment in place]
    return None not in values and len(set(values)) == len(values)


def times_of(places: Sequence[Sequence[dict[str, Any]]]) -> np.ndarray | None:
    """Times (T,) in ms from the first frame, of places whose moments (T) are in order; None if no clock rises so.

    Slices are taken one after the other, each with its own start and pulse, so that they are averaged by their median.
    """
    for name in CLOCKS:
        if all(name in moment for place in places for moment in place):
            times = np.array([[moment[name] for moment in place] for place in places])
            if (np.diff(times, axis=1) > 0).all():
                return np.median(times - times[:, :1], axis=0)
    return None
