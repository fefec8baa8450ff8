"""AdaReg: smoothness that yields where the images disagree."""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import Deformation, Pair
from ..spatial import resize_map
from .adaframe import EPSILON, moments
from .base import Objective, Spacing, check_formulation, foreground, smoothness


class AdaRegObjective(Objective):
    """``mean(residual^2) + lambda * mean(alpha^2 |grad u|^2)`` (Wong and Soatto, CVPR 2019; adacs, section 6).

    ``alpha = exp(-c rho / sigma)`` with the residual ``rho = |r|`` and its mean sigma over the foreground of each
    sample. With c = 50 little smoothness is left wherever the residual is above a few percent of the mean.

    Args:
        smooth_weight: lambda.
        c: how fast smoothness yields.
        formulation: "paper"; "released" is what the authors' code computes instead, ``alpha = exp(-c rho sigma)``
            and the differences of ``alpha u``.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.

    Raises:
        InputError: for an unknown formulation.
    """

    def __init__(
        self, smooth_weight: float = 0.01, c: float = 50.0, formulation: str = "paper", smooth_spacing: Spacing = None
    ) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        self.c, self.formulation = c, check_formulation(formulation)

    def alpha(self, pair: Pair, deformation: Deformation) -> Tensor:
        """How stiff the field stays, (B, 1, *grid of the field) in (0, 1], without gradient."""
        residual = (pair.fixed - deformation.observed).abs().detach()
        mean, _ = moments(residual, foreground(pair))
        exponent = residual * mean if self.formulation == "released" else residual / (mean + EPSILON)
        return resize_map(torch.exp(-self.c * exponent), list(deformation.regularised.shape[2:]))

    def smooth(self, pair: Pair, deformation: Deformation) -> Tensor:
        """Mean squared difference of the regularised field, each difference times alpha where it starts."""
        field, alpha = deformation.regularised, self.alpha(pair, deformation)
        if self.formulation == "released":
            return smoothness(deformation, self.smooth_spacing, field=alpha * field)
        return smoothness(deformation, self.smooth_spacing, weight=alpha)
