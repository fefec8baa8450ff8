"""The one way in which speeds are compared here: sides that take turns, and the ratio of each round.

- Every side is called `WARM_UP` times before it counts: what is imported or chosen once is no part of a call.
- The sides take turns call by call, every other turn in reverse. So what a machine does meanwhile meets all alike, and
  each finds the caches as another has left them, as a call among other work does. The same call again and again finds
  its own: our metrics take half of their time then, MONAI's as long as ever, and the ratio is twice as large.
- A round is as many turns as the fastest side needs for `LEAST` seconds, or fewer where all sides need `LONGEST`. Its
  median counts, which one interrupted call does not move.
- What is claimed is the median of the rounds' ratios, with the least and the largest: of 7 independent rounds these
  hold the true median with a chance of 98 % (it is missed where all 7 fall on one side of it).
- One thread on a CPU is timed by the CPU time of the process, not by the wall. Where programs share a core, the wall
  charges a call that lasts longer than a turn of the scheduler for the turns of others, and not one that is over
  before: under load the slower side looks slower still. All threads of the process count, so that none hides work.
  What CPU time does not take out are the caches that neighbours fill, which hits one side more than another, and
  shows from run to run more than within one: the load at the beginning is written down with the times.
- Several threads and a GPU are timed by the wall: a sum over threads says nothing of when the result is there. Such a
  measurement needs a machine that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

WARM_UP = 3
LEAST, LONGEST = 0.05, 2.0
Call = Callable[[], object]


class Clock(NamedTuple):
    """What is counted, in words, and how many seconds of it there were so far."""

    name: str
    now: Callable[[], float]


def clock_of(device: torch.device, threads: int) -> Clock:
    """The clock for what runs there with so many threads."""

    def of_gpu() -> float:
        torch.cuda.synchronize(device)  # a call returns before its work is done
        return time.perf_counter()

    if device.type == "cuda":
        return Clock("wall clock", of_gpu)
    return Clock("wall clock", time.perf_counter) if threads > 1 else Clock("CPU time", time.process_time)


class Timed(NamedTuple):
    """What the sides took.

    Attributes:
        turns: how many calls of each side a round has.
        seconds: side -> of one call, the median of each round's.
    """

    turns: int
    seconds: dict[str, list[float]]

    def median(self, side: str) -> float:
        """Seconds of one call."""
        return median(self.seconds[side])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """How many times as long ``slow`` takes as ``fast``, of each round."""
        return [one / other for one, other in zip(self.seconds[slow], self.seconds[fast], strict=True)]


def in_rounds(calls: Mapping[str, Call], clock: Clock, rounds: int, least: float = LEAST) -> Timed:
    """Time every call in ``rounds`` rounds, as this module says; ``least`` of 0 takes one turn a round."""
    warm = [min(taken(call, clock) for _ in range(WARM_UP)) for call in calls.values()]
    turns = turns_of(warm, least)
    found = {side: np.empty((rounds, turns)) for side in calls}
    for turn in range(rounds * turns):
        for side in list(calls)[:: -1 if turn % 2 else 1]:
            found[side].flat[turn] = taken(calls[side], clock)
    return Timed(turns, {side: np.median(each, axis=1).tolist() for side, each in found.items()})


def turns_of(once: Sequence[float], least: float) -> int:
    """Of a round, where one call of each side takes so long."""
    if not min(once) > 0:
        return 1
    return max(1, min(ceil(least / min(once)), int(LONGEST / sum(once))))


def taken(call: Call, clock: Clock) -> float:
    """Seconds of one call."""
    start = clock.now()
    call()
    return clock.now() - start


@dataclass(frozen=True)
class Claim:
    """A ratio that is stated, larger is better.

    Attributes:
        name: as its line has it.
        what: is measured.
        against: what.
        values: of each round; one for what is no time.
    """

    name: str
    what: str
    against: str
    values: Sequence[float]

    @property
    def numbers(self) -> dict[str, float]:
        """The median and its spread."""
        return {"median": median(self.values), "low": min(self.values), "high": max(self.values)}

    def line(self, threads: int) -> str:
        """``ratio NAME MEDIAN (LOW to HIGH, N rounds, T threads)``; of one value, without its spread."""
        middle, low, high = (f"{value:.4g}" for value in self.numbers.values())
        rounds = f" ({low} to {high}, {len(self.values)} rounds, {threads} thread{'s' * (threads > 1)})"
        return f"ratio {self.name} {middle}{rounds * (len(self.values) > 1)}"
