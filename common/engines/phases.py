"""Which estimators train in which epoch."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import InputError


class Phase(NamedTuple):
    """Which of the two estimators an epoch trains."""

    name: str
    displacement: bool
    companion: bool


DISPLACEMENT = Phase("displacement", True, False)
COMPANION = Phase("companion", False, True)
BOTH = Phase("both", True, True)


def phase_of(epoch: int, warm_up: tuple[int, int]) -> Phase:
    """The phase of ``epoch`` (from 1): displacement alone, then the companion alone, then both (adacs, Alg. 1).

    Args:
        warm_up: how many epochs the first two phases last.

    Raises:
        InputError: if one of them is negative.
    """
    if min(warm_up) < 0:
        raise InputError(f"warm_up is {list(warm_up)}: both numbers of epochs must be 0 or more.")
    if epoch <= warm_up[0]:
        return DISPLACEMENT
    return COMPANION if epoch <= sum(warm_up) else BOTH
