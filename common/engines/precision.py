"""The precision that networks compute in; fields and losses are float32 whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch

from ..errors import InputError

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def autocast(device: torch.device, precision: str) -> Callable[[], AbstractContextManager]:
    """A maker of contexts in which networks run in ``precision`` on ``device``.

    Half precision (float16) is left out: bfloat16 needs no loss scaling and is as fast where either is.

    Raises:
        InputError: for a precision that is not known.
    """
    if precision not in DTYPES:
        raise InputError(f"precision is {precision!r}: it must be one of {', '.join(DTYPES)}.")
    if precision == "float32":
        return nullcontext
    return partial(torch.autocast, device.type, dtype=DTYPES[precision])
