"""What all objectives share: the interface, and the two terms that every one of them is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation, Pair
from ..similarity import masked_mean
from ..spatial import warp

Terms = dict[str, Tensor]  # named scalars; terms["loss"] is what is minimised, the rest is logged beside it

FORMULATIONS = ("paper", "released")  # the printed equations, or what the authors' code computes instead


class Objective(nn.Module):
    """A method's whole mathematics, and nothing of the architecture.

    A trainer calls, in this order: ``observe`` (warps the moving image), ``companion_inputs`` (what the
    second network looks at), ``displacement_loss`` and ``companion_loss`` with the companion's map. Where a
    method trains its two networks apart, the stop-gradients are here.

    Args:
        smooth_weight: lambda of the method's loss.

    Attributes:
        companion_map: what the method's companion predicts, "log_variance" or "score"; None for no companion.
        needs_labels: whether the method, and its companion, learn from labels.
    """

    companion_map: str | None = None
    needs_labels = False

    def __init__(self, smooth_weight: float = 0.01) -> None:
        super().__init__()
        self.smooth_weight = smooth_weight

    def start_epoch(self, epoch: int) -> None:
        """Learn that ``epoch`` (from 1) begins."""

    def observe(self, pair: Pair, deformation: Deformation) -> Deformation:
        """The deformation with its ``warped`` image; a method with displacement uncertainty samples here."""
        return deformation._replace(warped=warp(pair.moving, deformation.ddf))

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        """The images (B, 1, *spatial) that the companion maps."""
        raise TypeError(f"{type(self).__name__} has no companion.")

    def weight(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor | None:
        """What multiplies the squared residual (B, 1, *spatial); None stands for 1."""
        return None

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        """``data + lambda * smooth`` and what the architecture adds, for the displacement estimator.

        Args:
            predicted: the companion's output, or None while it does not take part (warm-up).
        """
        data, smooth = self.data(pair, deformation, predicted), self.smooth(pair, deformation)
        auxiliary = deformation.auxiliary or {}
        loss = data + self.smooth_weight * smooth + sum(auxiliary.values())
        return {"loss": loss, "data": data, "smooth": smooth, **auxiliary}

    def data(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """``mean(weight * residual^2)``, the weight without gradient."""
        residual = squared_residual(pair, deformation)
        warming_up = self.companion_map is not None and predicted is None
        weight = None if warming_up else self.weight(pair, deformation, predicted)
        return masked_mean(residual if weight is None else weight.detach() * residual, pair.mask)

    def smooth(self, pair: Pair, deformation: Deformation) -> Tensor:
        """What lambda weighs."""
        return smoothness(deformation)

    def companion_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor) -> Terms:
        """The loss of the companion alone."""
        raise TypeError(f"{type(self).__name__} has no companion.")


def check_formulation(formulation: str) -> str:
    """``formulation``, if it is one of `FORMULATIONS`.

    Raises:
        InputError: if it is not.
    """
    if formulation not in FORMULATIONS:
        raise InputError(f"formulation is {formulation!r}: it must be one of {', '.join(FORMULATIONS)}.")
    return formulation


def squared_residual(pair: Pair, deformation: Deformation) -> Tensor:
    """``(fixed - warped)^2``, (B, 1, *spatial)."""
    return (pair.fixed - deformation.observed).square()


def foreground(pair: Pair) -> Tensor:
    """Where a residual has a meaning (B, 1, *spatial): the pair's mask, else wherever either image is above 0."""
    return ((pair.moving > 0) | (pair.fixed > 0)).float() if pair.mask is None else pair.mask


def smoothness(deformation: Deformation) -> Tensor:
    """Mean squared forward difference of the regularised field, times its stride.

    The factor keeps one lambda for fields at full and at half resolution: it is VoxelMorph's
    multiplier for a velocity at half resolution.
    """
    return deformation.stride * mean_squared_difference(deformation.regularised)


def mean_squared_difference(field: Tensor, weight: Tensor | None = None) -> Tensor:
    """``mean |weight * grad field|^2`` by forward differences, averaged over the axes; a lone voxel has none.

    Args:
        field: (B, C, *grid).
        weight: (B, 1, *grid), taken where a difference starts; None stands for 1.
    """
    means = []
    for axis in range(2, field.dim()):
        if (n := field.shape[axis]) > 1:
            difference = field.diff(dim=axis)
            means.append((difference if weight is None else weight.narrow(axis, 0, n - 1) * difference).square().mean())
    return torch.stack(means).mean()
