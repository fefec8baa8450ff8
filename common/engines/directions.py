"""Both directions of a pair as one batch of twice the size: one forward of everything that follows."""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import Deformation, Pair


def both_directions(pair: Pair, forward: Deformation, backward: Deformation) -> tuple[Pair, Deformation]:
    """The batch and its deformation, followed by the swapped batch and the way back.

    A mean over the doubled batch is the mean of the two directions' means, so an objective need not know, unless it
    looks at a batch in another way: ``directions`` tells it.
    """
    doubled = Pair(*map(_joined, pair, pair.swapped()))
    return doubled, Deformation(
        ddf=torch.cat([forward.ddf, backward.ddf]),
        dvf=_joined(forward.dvf, backward.dvf),
        stride=forward.stride,
        log_variance=_joined(forward.log_variance, backward.log_variance),
        features=_joined(forward.features, backward.features),
        auxiliary=forward.auxiliary,
        drawn=_joined(forward.drawn, backward.drawn),
        directions=2,
    )


def _joined(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second])
