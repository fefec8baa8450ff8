"""Registration that learns from labels as well: the objective that predictive builds on, and is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair, needed
from ..labels import one_hot, warped_one_hot
from ..similarity import masked_mean
from .base import Spacing, Terms, squared_residual
from .ncc import NCCObjective

SIMILARITIES = ("ncc", "mse")


class WeakObjective(NCCObjective):
    """``-mean(ncc^2) - weight * overlap(warped labels, fixed labels) + lambda * smoothness`` (predictive, Eq. 4).

    Args:
        smooth_weight: lambda of Eq. 4.
        window: edge of the windows of Eq. 1 in voxels, odd.
        num_classes: classes of the labels, background included.
        tversky: what a voxel of a class that was missed, and one that was added, weigh in the overlap; a half each is
            the Dice of Eq. 2.
        similarity: of the images, "ncc" as in the paper, or "mse" for ``mean(residual^2)``, which is smaller: lambda
            and ``overlap_weight`` then are, too.
        overlap_weight: what the overlap is multiplied by, 1 in the paper.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.

    Raises:
        InputError: for an even window, fewer than two classes, weights that are not two above 0, or a similarity that
            is not known.
    """

    needs_labels = True

    def __init__(
        self,
        smooth_weight: float = 0.01,
        window: int = 5,
        num_classes: int = 3,
        tversky: Sequence[float] = (0.5, 0.5),
        similarity: str = "ncc",
        overlap_weight: float = 1.0,
        smooth_spacing: Spacing = None,
    ) -> None:
        super().__init__(smooth_weight, window, smooth_spacing)
        if not isinstance(num_classes, int) or num_classes < 2:
            raise InputError(f"num_classes is {num_classes}: it must be 2 or more, background included.")
        if not isinstance(tversky, (list, tuple)) or len(tversky) != 2 or not all(weight > 0 for weight in tversky):
            raise InputError(f"tversky is {tversky}: it must be two weights above 0, as in [0.5, 0.5].")
        if similarity not in SIMILARITIES:
            raise InputError(f"similarity is {similarity!r}: it must be one of {', '.join(SIMILARITIES)}.")
        self.num_classes, self.tversky = num_classes, tuple(tversky)
        self.similarity, self.overlap_weight = similarity, overlap_weight

    def data(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """How unlike the images are, by the similarity that was chosen."""
        if self.similarity == "ncc":
            return super().data(pair, deformation, predicted)
        return masked_mean(squared_residual(pair, deformation), pair.mask)

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        """The terms of Eq. 4."""
        terms = super().displacement_loss(pair, deformation, predicted)
        overlap = self.overlap(self.warped_labels(pair, deformation), pair)
        return {**terms, "loss": terms["loss"] - self.overlap_weight * overlap, "overlap": overlap}

    def overlap(self, shares: Tensor, pair: Pair) -> Tensor:
        """How far labels, as shares of the classes (B, C, *spatial), cover the fixed ones."""
        return mean_overlap(shares, self.fixed_labels(pair), pair.mask, self.tversky)

    def warped_labels(self, pair: Pair, deformation: Deformation) -> Tensor:
        """The moving labels under the field, as shares of the classes (B, C, *spatial)."""
        return warped_one_hot(needed(pair.moving_label, "moving label"), deformation.ddf, self.num_classes)

    def fixed_labels(self, pair: Pair) -> Tensor:
        """The fixed labels as (B, C, *spatial) of 0 and 1."""
        return one_hot(needed(pair.fixed_label, "fixed label"), self.num_classes)


def mean_overlap(seen: Tensor, true: Tensor, mask: Tensor | None, weights: tuple[float, float]) -> Tensor:
    """Tversky index, averaged over samples and classes (Salehi et al., 2017; predictive, Eq. 2, for weights of a half).

    A class that a sample's fixed labels lack is left out of its mean, since any trace of it in ``seen`` would give 0.

    Args:
        seen: (B, C, *spatial), shares of the classes.
        true: (B, C, *spatial), one-hot.
        mask: (B, 1, *spatial), where voxels count; None for everywhere.
        weights: of the voxels missed and of those added.
    """
    if mask is not None:
        seen, true = seen * mask, true * mask
    hit, ours, theirs = ((seen * true).flatten(2).sum(2), seen.flatten(2).sum(2), true.flatten(2).sum(2))
    missed, added = weights
    index = hit / (hit + missed * (theirs - hit) + added * (ours - hit)).clamp(min=1e-6)
    present = theirs > 0
    return torch.where(present, index, 0).sum() / present.sum().clamp(min=1)
