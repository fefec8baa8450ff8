"""Adaptive correspondence scoring: the objective of Zhang et al., ECCV 2024."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InputError
from ..interfaces import Deformation, Pair, needed
from ..parallel import mean_over_processes
from ..similarity import masked_mean
from .base import Objective, Spacing, Terms, check_formulation, mean_squared_difference, squared_residual


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
        formulation: "paper" is Eq. 5 to 7. "released" is what the authors' code computes instead: in every
            displacement step, those of the warm-up too, the momentum follows b = cos(3.14 * 50 * mu) with a
            decay that grows with the epoch; and the data term counts twice for the displacement estimator, since
            the scoring step is not detached from it. mu is the running mean over the epoch of the score-weighted
            data loss divided by the number of directions: of two, each enters halved and by itself. Not
            reproduced: in the scoring-only warm-up the authors' code piles up the displacement estimator's
            gradients over some 2000 backward passes without zeroing them.
        smooth_spacing: edges of a voxel, mm, see ``Objective``.

    Raises:
        InputError: for an unknown formulation or number of inputs.
    """

    companion_map = "score"
    momentum: Tensor
    mu: Tensor
    steps: Tensor

    def __init__(
        self,
        smooth_weight: float = 0.01,
        alpha: float = 0.02,
        beta: float = 1.5,
        decay: float = 0.99,
        constant_momentum: float | None = None,
        inputs: int = 1,
        formulation: str = "paper",
        smooth_spacing: Spacing = None,
    ) -> None:
        super().__init__(smooth_weight, smooth_spacing)
        if inputs not in (1, 2):
            raise InputError(f"inputs is {inputs}: a score looks at 1 image (fixed) or at 2 (warped and fixed).")
        self.alpha, self.beta, self.decay, self.inputs = alpha, beta, decay, inputs
        self.constant_momentum, self.formulation, self.epoch = constant_momentum, check_formulation(formulation), 1
        for name in ("momentum", "mu", "steps") if self.formulation == "released" else ("momentum",):
            self.register_buffer(name, torch.zeros(()))

    def start_epoch(self, epoch: int) -> None:
        """The released decay depends on the epoch, and its mu is a mean over the epoch."""
        self.epoch = epoch
        if self.formulation == "released":
            self.mu.zero_()
            self.steps.zero_()

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        """The scoring estimator looks at the fixed image alone, or also at the warped one as at an observation."""
        return (pair.fixed,) if self.inputs == 1 else (deformation.observed.detach(), pair.fixed)

    def weight(self, pair: Pair, deformation: Deformation, score: Tensor | None) -> Tensor:
        """The score itself (Eq. 2)."""
        return needed(score, "score").detach()

    def displacement_loss(self, pair: Pair, deformation: Deformation, score: Tensor | None = None) -> Terms:
        """Eq. 2; as released, also a step of the momentum, and with a score a data term that counts twice."""
        terms = super().displacement_loss(pair, deformation, score)
        if self.formulation == "released":
            self._follow_released(terms["data"].detach() / deformation.directions)
            if score is not None:
                terms["loss"] = terms["loss"] + terms["data"]
        return terms

    def companion_loss(self, pair: Pair, deformation: Deformation, score: Tensor) -> Terms:
        """Eq. 9: the scored residual, the pull to 1 and the momentum-guided total variation."""
        residual = squared_residual(pair, deformation).detach()
        scored = masked_mean(score * residual, pair.mask)
        regular = masked_mean((1 - score).square(), pair.mask)
        variation = mean_squared_difference(score)
        momentum = self._momentum_of(residual, pair.mask)
        loss = scored + self.alpha * regular + self.beta * momentum * variation
        terms = {"loss": loss, "scored": scored, "regular": regular, "variation": variation}
        return {**terms, "momentum": momentum, "score": score.detach().mean()}

    def _momentum_of(self, residual: Tensor, mask: Tensor | None) -> Tensor:
        """What scales the total variation in this step: m after one step of Eq. 5 to 7, or as it was released."""
        if self.constant_momentum is not None:
            return torch.full_like(self.momentum, self.constant_momentum)
        if self.formulation == "paper":
            mu = mean_over_processes(masked_mean(residual, mask))
            self._follow(torch.cos(math.pi / 2 * mu), self.decay)
        return self.momentum.clone()

    def _follow_released(self, data: Tensor) -> None:
        """The released momentum, one step; its epochs count from 0, so that the first one's target is taken whole."""
        self.steps += 1
        self.mu += (mean_over_processes(data) - self.mu) / self.steps
        self._follow(torch.cos(3.14 * 50 * self.mu), min(1 - 1 / self.epoch, 0.99))

    def _follow(self, target: Tensor, decay: float) -> None:
        """Eq. 7; the same on every process, as its target is."""
        self.momentum.mul_(decay).add_((1 - decay) * target)
