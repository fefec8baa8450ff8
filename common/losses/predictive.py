"""Predictive uncertainty: registration that learns where its labels will be wrong (WACV 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..interfaces import Deformation, Pair, needed
from ..similarity import masked_mean
from .base import Spacing, Terms
from .weak import WeakObjective


class PredictiveObjective(WeakObjective):
    """Eq. 4, the same overlap of the refined labels, and the Laplace likelihood of their error (Eq. 6).

    The paper writes the overlap of the warped labels (Eq. 4) and equates it with that of the refined ones (Eq. 2). Only
    with both does the field follow the labels: a refiner that sees features of the images can draw the fixed labels
    without it.

    The companion, a ``LabelRefiner``, sees the displacement estimator's features and the warped labels. One loss trains
    both networks, as in the paper.

    Args:
        uncertainty_weight: of Eq. 6, 0.1 in the paper; 0 leaves a refined registration without uncertainty.
        smooth_weight, window, num_classes, tversky, similarity, overlap_weight: as of ``WeakObjective``.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.
    """

    companion_map = "label_uncertainty"

    def __init__(
        self,
        smooth_weight: float = 0.01,
        window: int = 5,
        num_classes: int = 3,
        tversky: Sequence[float] = (0.5, 0.5),
        uncertainty_weight: float = 0.1,
        similarity: str = "ncc",
        overlap_weight: float = 1.0,
        smooth_spacing: Spacing = None,
    ) -> None:
        super().__init__(smooth_weight, window, num_classes, tversky, similarity, overlap_weight, smooth_spacing)
        self.uncertainty_weight = uncertainty_weight

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        """The features and the warped labels, both with their gradients."""
        features = needed(deformation.features, "features: the network gives none")
        return features, self.warped_labels(pair, deformation)

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        """``L_reg + 0.1 L_uncert`` of Sec. 4.1.

        Args:
            predicted: (B, 2 C, *spatial), refined labels and the logarithm of their uncertainty.
        """
        terms = super().displacement_loss(pair, deformation, predicted)
        refined, log_uncertainty = needed(predicted, "refined label").split(self.num_classes, dim=1)
        overlap = self.overlap(refined, pair)
        error = (refined - self.fixed_labels(pair)).abs()
        nll = masked_mean((error * torch.exp(-log_uncertainty) + log_uncertainty).mean(1, keepdim=True), pair.mask)
        loss = terms["loss"] - self.overlap_weight * overlap + self.uncertainty_weight * nll
        return {**terms, "loss": loss, "refined_overlap": overlap, "uncertainty": nll}
