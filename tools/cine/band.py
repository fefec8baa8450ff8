"""How the band around the curves of a cine is drawn, and the options of it. Nothing heavy is imported."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from common.errors import InputError


@dataclass(frozen=True)
class Band:
    """How the band is drawn.

    Attributes:
        draws: random fields.
        length: mm over which errors belong together.
        scale: of the network's standard deviation.
        seed: of the generator.

    Raises:
        InputError: fewer than two draws, or a length or scale that is not above 0.
    """

    draws: int = 32
    length: float = 10.5
    scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise InputError(f"--draws {self.draws}: give 2 or more.")
        for option, value in (("--correlation-length", self.length), ("--deviation-scale", self.scale)):
            if not 0 < value < float("inf"):
                raise InputError(f"{option} {value:g}: give a number above 0.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a band is drawn by."""
    draws = "random fields that the band is drawn from (default: %(default)s)"
    parser.add_argument("--draws", type=int, default=Band.draws, metavar="N", help=draws)
    together = "over which the errors of a displacement belong together, for the band (default: %(default)s)"
    parser.add_argument("--correlation-length", type=float, default=Band.length, metavar="MM", help=together)
    add_scale(parser)


def add_scale(parser: argparse.ArgumentParser) -> None:
    """``--deviation-scale``: what predicted deviations are multiplied by."""
    times = "times the network's standard deviation, for the band (default: %(default)s)"
    parser.add_argument("--deviation-scale", type=float, default=Band.scale, metavar="X", help=times)
