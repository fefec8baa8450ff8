"""Heteroscedastic registration with an uncertainty of the displacement beside that of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair, needed
from ..spatial import warp
from .base import Spacing, Terms
from .hetero import HeteroObjective


class HeteroDispObjective(HeteroObjective):
    """hetero on a sampled displacement ``z = ddf + sigma_z * noise`` (hetero, supplement, Table 5).

    The loss gains ``alpha * mean(sigma_z^2 - log sigma_z^2)``, least at one voxel: where the image has no structure
    the displacement may be anything, and where it has, noise in the displacement costs residual. Smoothness acts on
    the mean field. The displacement estimator must predict ``log_variance`` at the size of ``ddf``.

    Args:
        smooth_weight: lambda.
        alpha: weight of the displacement's variance.
        image_variance: weight the residual by the image's variance too; without it every voxel counts the same.
        gamma, beta, formulation: as of ``HeteroObjective``.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.
    """

    def __init__(
        self,
        smooth_weight: float = 0.01,
        alpha: float = 1e-3,
        image_variance: bool = True,
        gamma: float = 0.5,
        beta: float = 0.5,
        formulation: str = "paper",
        smooth_spacing: Spacing = None,
    ) -> None:
        super().__init__(smooth_weight, gamma, beta, formulation, smooth_spacing)
        self.alpha, self.image_variance = alpha, image_variance

    def observe(self, pair: Pair, deformation: Deformation) -> Deformation:
        """Warp by a sample while training, by the mean otherwise.

        Raises:
            InputError: if the estimator predicts no uncertainty of the displacement.
        """
        ddf, log_variance = deformation.ddf, deformation.log_variance
        if log_variance is None or log_variance.shape != ddf[:, :1].shape:
            raise InputError("the network predicts no displacement uncertainty: set its uncertainty to displacement.")
        if not self.training:
            return super().observe(pair, deformation)
        noise = torch.randn_like(ddf) * torch.exp(0.5 * log_variance)
        return deformation._replace(warped=warp(pair.moving, ddf + noise))

    def weight(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor | None:
        """hetero's weight, or 1."""
        return super().weight(pair, deformation, predicted) if self.image_variance else None

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        """hetero's loss and the term that keeps the displacement's variance from vanishing."""
        terms = super().displacement_loss(pair, deformation, predicted)
        log_variance = needed(deformation.log_variance, "log variance of the displacement")
        spread = (torch.exp(log_variance) - log_variance).mean()
        return {**terms, "loss": terms["loss"] + self.alpha * spread, "spread": spread}
