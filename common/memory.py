"""How large an image may be: said before memory is taken for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import isfinite, prod
from pathlib import Path

from .errors import InputError

VARIABLE = "WARPSURE_MEMORY_GB"
"""The environment variable that sets the limit of one image, in GB (10^9 bytes)."""
GB = 1e9
SHARE = 0.5  # of the free memory for one image: another, the network and the results need the rest
CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # where one says its limit


def memory_limit() -> float:
    """Return the bytes that one image may take: what `VARIABLE` says, else half of the machine's free memory.

    Raises:
        InputError: the variable is no positive number.
    """
    if not (text := os.environ.get(VARIABLE, "").strip()):
        return SHARE * free_memory()
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not (limit > 0 and isfinite(limit)):
        raise InputError(f"{VARIABLE} is {text!r}; give a number of GB above 0.")
    return limit * GB


def free_memory() -> float:
    """Return the bytes of memory that can be had: free in the machine, or in all of the container if that is less."""
    return min([_free_of_machine(), *_limits_of_containers()])


def check_size(path: str | Path, shape: Sequence[int], itemsize: int) -> None:
    """Refuse an image whose voxels do not fit into `memory_limit`.

    Args:
        shape: of all its axes.
        itemsize: bytes of a voxel as it is stored; as many again are counted for its numbers, at least 4.

    Raises:
        InputError: naming the size and the limit.
    """
    needed, limit = prod(int(n) for n in shape) * (itemsize + max(itemsize, 4)), memory_limit()
    if needed > limit:
        raise InputError(
            f"{path}: {' x '.join(map(str, shape))} voxels need {needed / GB:,.1f} GB of memory, above the limit of "
            f"{limit / GB:,.1f} GB; is the file what it says? If so, crop it, or raise the limit by --memory-gb or "
            f"{VARIABLE}."
        )


def _free_of_machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return 8 * GB  # a system that does not say


def _limits_of_containers() -> list[float]:
    found = []
    for path in CONTAINERS:
        try:
            found.append(float(Path(path).read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    return found
