"""Probabilistic diffeomorphic registration: a Gaussian posterior over the velocity."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair
from ..similarity import masked_mean
from .base import Objective, Terms, squared_residual


class DiffObjective(Objective):
    """The negative evidence lower bound of Dalca et al. (MedIA 2019, Eq. 8), times ``2 sigma_I^2``.

    ``mean(residual^2) + sigma_I^2 * mean(tr(prior D Sigma - log Sigma) + prior * mu' L mu)`` for a posterior
    N(mu, Sigma) of the velocity on its grid, whose prior has the precision ``prior * L``; L = D - A is the grid's
    Laplacian, D the number of neighbours. The estimator draws its velocity from the posterior while training.
    Likelihood and prior are averaged over their own grids, as in the authors' code.

    Args:
        prior: weight of smoothness in the prior, called lambda in the paper.
        image_sigma: standard deviation of the image noise.
    """

    def __init__(self, prior: float = 10.0, image_sigma: float = 0.02) -> None:
        super().__init__(smooth_weight=prior * image_sigma**2)
        self.prior, self.image_sigma = prior, image_sigma

    def data(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """The plain squared residual."""
        return masked_mean(squared_residual(pair, deformation), pair.mask)

    def smooth(self, pair: Pair, deformation: Deformation) -> Tensor:
        """``mu' L mu`` per voxel: squared differences over the edges of the grid, summed over axes and components."""
        mean = deformation.regularised
        edges = sum((mean.diff(dim=axis).square().sum() for axis in range(2, mean.dim())), mean.new_zeros(()))
        return edges * mean.shape[1] / mean.numel()

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        """The bound.

        Raises:
            InputError: if the estimator predicts no uncertainty of the velocity.
        """
        log_variance = deformation.log_variance
        if log_variance is None or log_variance.shape != deformation.regularised.shape:
            raise InputError("the network predicts no velocity uncertainty: set its uncertainty to velocity.")
        terms = super().displacement_loss(pair, deformation, predicted)
        precision = self.prior * neighbours(list(log_variance.shape[2:]), log_variance.device)
        spread = (precision * torch.exp(log_variance) - log_variance).sum(1).mean()
        return {**terms, "loss": terms["loss"] + self.image_sigma**2 * spread, "spread": spread}


def neighbours(grid: list[int], device: torch.device) -> Tensor:
    """How many voxels of the ``grid`` share a face with each of them: two an axis, fewer at the border."""
    count = torch.zeros(grid, device=device)
    for axis, n in enumerate(grid):
        place = torch.arange(n, device=device).view([-1 if other == axis else 1 for other in range(len(grid))])
        count = count + (place > 0) + (place < n - 1)
    return count
