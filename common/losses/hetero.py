"""Heteroscedastic registration: the objective of Zhang et al., MICCAI 2024."""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import Deformation, Pair, needed
from ..similarity import masked_mean
from .base import Objective, Spacing, Terms, check_formulation, squared_residual

TINY = 1e-6  # keeps the logarithm of a black voxel finite


class HeteroObjective(Objective):
    """Weight each voxel's squared residual by how far its signal stands above the predicted noise.

    The signal is the fixed image, so the weight changes with the field only as far as the predicted variance does.
    The displacement estimator minimises Eq. 4, the variance estimator the beta-NLL of Eq. 5; neither
    trains the other.

    Args:
        smooth_weight: lambda of Eq. 4.
        gamma: trust in the predicted variance; 0 is plain mean squared error up to the factor sigmoid(1).
        beta: how much beta-NLL undoes the inverse-variance weighting (Seitzer et al., 2022).
        formulation: "paper" is Eq. 4 and 5; "released" is what the authors' code computes instead: the weight
            sigmoid(minmax((fixed / sigma^2)^gamma)) with the extremes over the batch of one direction, and a
            variance loss that reaches the displacement estimator through the warped image, which the variance
            estimator sees.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.

    Raises:
        InputError: for an unknown formulation.
    """

    companion_map = "log_variance"

    def __init__(
        self,
        smooth_weight: float = 0.01,
        gamma: float = 0.5,
        beta: float = 0.5,
        formulation: str = "paper",
        smooth_spacing: Spacing = None,
    ) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        self.gamma, self.beta, self.formulation = gamma, beta, check_formulation(formulation)

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        """The variance estimator looks at the warped image as at an observation, unless as released."""
        warped = deformation.observed
        return warped if self.formulation == "released" else warped.detach(), pair.fixed

    def weight(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor | None:
        """``sigmoid((fixed / sigma)^(2 gamma))`` of Eq. 4, in logarithms: finite for any variance."""
        log_variance = needed(predicted, "log variance")
        log_signal = torch.log(pair.fixed.abs() + TINY)
        if self.formulation == "released":
            ratios = self._power(log_signal - log_variance).chunk(deformation.directions)
            return torch.sigmoid(torch.cat([rescaled(ratio) for ratio in ratios]))
        return torch.sigmoid(self._power(2 * log_signal - log_variance))

    def _power(self, log_ratio: Tensor) -> Tensor:
        return torch.exp(self.gamma * log_ratio.detach())

    def companion_loss(self, pair: Pair, deformation: Deformation, log_variance: Tensor) -> Terms:
        """Eq. 5, beta-NLL on the residual as an observation."""
        residual = squared_residual(pair, deformation).detach()
        nll = 0.5 * (residual * torch.exp(-log_variance) + log_variance)
        loss = masked_mean(torch.exp(self.beta * log_variance.detach()) * nll, pair.mask)
        return {"loss": loss, "log_variance": log_variance.detach().mean()}


def rescaled(values: Tensor) -> Tensor:
    """``values`` mapped to [0, 1] by their extremes; zero where they are all alike."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
