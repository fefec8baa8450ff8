"""Which estimators train in which epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import InputError


class Phase(NamedTuple):
    """Which of the two estimators an epoch trains."""

    name: str
    displacement: bool
    companion: bool


DISPLACEMENT = Phase("displacement", True, False)
COMPANION = Phase("companion", False, True)
BOTH = Phase("both", True, True)


def warm_up_of(setting: Any) -> tuple[int, int]:
    """How many epochs the first two phases last.

    Raises:
        InputError: if ``setting`` is not two whole numbers of 0 or more.
    """
    if isinstance(setting, (list, tuple)) and len(setting) == 2 and all(type(n) is int and n >= 0 for n in setting):
        return tuple(setting)
    raise InputError(f"warm_up is {setting}: it must be two numbers of epochs of 0 or more, as in [4, 2].")


def phase_of(epoch: int, warm_up: tuple[int, int]) -> Phase:
    """The phase of ``epoch`` (from 1): displacement alone, then the companion alone, then both (adacs, Alg. 1)."""
    if epoch <= warm_up[0]:
        return DISPLACEMENT
    return COMPANION if epoch <= sum(warm_up) else BOTH
