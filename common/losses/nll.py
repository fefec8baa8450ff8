"""Joint likelihoods: a Gaussian negative log-likelihood that trains both networks at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import Deformation, Pair, needed
from ..similarity import masked_mean
from .base import Objective, Spacing, squared_residual


class NLLObjective(Objective):
    """``mean([s2^beta] * (residual^2 / s2 + log s2) / 2) + lambda * smoothness``, one loss for both networks.

    With beta 0 the likelihood of Kendall and Gal (2017), with 0.5 the beta-NLL of Seitzer et al. (2022): the two
    joint baselines of hetero and adacs. Unlike hetero it lets the likelihood's gradient reach the displacement
    estimator, through the residual and through the warped image that the variance estimator sees.

    Args:
        smooth_weight: lambda; a small variance makes this data term large, and lambda with it.
        beta: how much of the inverse-variance weighting is undone; with 1 the residual's gradient is that of half
            the mean squared error.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.
    """

    companion_map = "log_variance"

    def __init__(self, smooth_weight: float = 0.01, beta: float = 0.0, smooth_spacing: Spacing = None) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        self.beta = beta

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        """The variance estimator looks at the warped image, and passes its gradient on."""
        return deformation.observed, pair.fixed

    def weight(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """What multiplies the squared residual, up to the factor 1/2: ``s2^(beta - 1)``."""
        return torch.exp((self.beta - 1) * needed(predicted, "log variance"))

    def data(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """The likelihood, weighted by the variance as by a constant."""
        log_variance = needed(predicted, "log variance")
        nll = 0.5 * (squared_residual(pair, deformation) * torch.exp(-log_variance) + log_variance)
        return masked_mean(torch.exp(self.beta * log_variance.detach()) * nll, pair.mask)
