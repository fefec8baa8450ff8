"""Adaptive correspondence scoring: the objective of Zhang et al., ECCV 2024."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair, needed
from ..parallel import mean_over_processes
from ..similarity import masked_mean
from .base import Objective, Terms, check_formulation, mean_squared_difference, squared_residual


class AdaCSObjective(Objective):
    """Weight each voxel's squared residual by a learned score of whether it has a correspondence.

    The displacement estimator minimises Eq. 2, the scoring estimator Eq. 9; neither trains the other.

    Args:
        smooth_weight: lambda of Eq. 2.
        alpha: weight of the term that keeps scores from vanishing (Eq. 4).
        beta: weight of the scores' total variation (Eq. 8); 0 leaves it out.
        decay: of the momentum that scales the total variation (Eq. 7).
        constant_momentum: hold that scale at this value instead (the ablation with a constant beta).
        inputs: how many images the score looks at: 1 (fixed, the method) or 2 (warped and fixed, an ablation).
        formulation: "paper" is Eq. 5 to 7. "released" is what the authors' code computes instead:
            b = cos(3.14 * 50 * mu) of half the score-weighted residual, a decay that grows with the epoch,
            and a data term that counts twice for the displacement estimator, since the scoring step is
            not detached from it.

    Raises:
        InputError: for an unknown formulation or number of inputs.
    """

    companion_map = "score"
    momentum: Tensor

    def __init__(
        self,
        smooth_weight: float = 0.01,
        alpha: float = 0.02,
        beta: float = 1.5,
        decay: float = 0.99,
        constant_momentum: float | None = None,
        inputs: int = 1,
        formulation: str = "paper",
    ) -> None:
        super().__init__(smooth_weight)
        if inputs not in (1, 2):
            raise InputError(f"inputs is {inputs}: a score looks at 1 image (fixed) or at 2 (warped and fixed).")
        self.alpha, self.beta, self.decay, self.inputs = alpha, beta, decay, inputs
        self.constant_momentum, self.formulation, self.epoch = constant_momentum, check_formulation(formulation), 1
        self.register_buffer("momentum", torch.zeros(()))

    def start_epoch(self, epoch: int) -> None:
        """The released decay depends on the epoch; it counts from 0 there, so that the first target is taken whole."""
        self.epoch = epoch

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        """The scoring estimator looks at the fixed image alone, or also at the warped one as at an observation."""
        return (pair.fixed,) if self.inputs == 1 else (deformation.observed.detach(), pair.fixed)

    def weight(self, pair: Pair, deformation: Deformation, score: Tensor | None) -> Tensor:
        """The score itself (Eq. 2)."""
        return needed(score, "score").detach()

    def displacement_loss(self, pair: Pair, deformation: Deformation, score: Tensor | None = None) -> Terms:
        """Eq. 2; with a data term that counts twice as released."""
        terms = super().displacement_loss(pair, deformation, score)
        if score is not None and self.formulation == "released":
            terms["loss"] = terms["loss"] + terms["data"]
        return terms

    def companion_loss(self, pair: Pair, deformation: Deformation, score: Tensor) -> Terms:
        """Eq. 9: the scored residual, the pull to 1 and the momentum-guided total variation."""
        residual = squared_residual(pair, deformation).detach()
        scored = masked_mean(score * residual, pair.mask)
        regular = masked_mean((1 - score).square(), pair.mask)
        variation = mean_squared_difference(score)
        momentum = self._update_momentum(residual, score.detach(), pair.mask)
        loss = scored + self.alpha * regular + self.beta * momentum * variation
        terms = {"loss": loss, "scored": scored, "regular": regular, "variation": variation}
        return {**terms, "momentum": momentum, "score": score.detach().mean()}

    def _update_momentum(self, residual: Tensor, score: Tensor, mask: Tensor | None) -> Tensor:
        """Eq. 5 to 7, one step; the same on every process."""
        if self.constant_momentum is not None:
            return torch.full_like(self.momentum, self.constant_momentum)
        if self.formulation == "released":
            mu = 0.5 * mean_over_processes(masked_mean(score * residual, mask))
            target, decay = torch.cos(3.14 * 50 * mu), min(1 - 1 / self.epoch, 0.99)
        else:
            mu = mean_over_processes(masked_mean(residual, mask))
            target, decay = torch.cos(math.pi / 2 * mu), self.decay
        self.momentum.mul_(decay).add_((1 - decay) * target)
        return self.momentum.clone()
