"""What all objectives share: the interface, and the two terms that every one of them is made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation, Pair
from ..similarity import masked_mean
from ..spatial import warp

Terms = dict[str, Tensor]  # named scalars; terms["loss"] is what is minimised, the rest is logged beside it

Spacing = Sequence[float] | None  # of a voxel along each axis, mm

FORMULATIONS = ("paper", "released")  # the printed equations, or what the authors' code computes instead


class Objective(nn.Module):
    """A method's whole mathematics, and nothing of the architecture.

    A trainer calls, in this order: ``observe`` (warps the moving image), ``companion_inputs`` (what the
    second network looks at), ``displacement_loss`` and ``companion_loss`` with the companion's map. Where a
    method trains its two networks apart, the stop-gradients are here.

    Args:
        smooth_weight: lambda of the method's loss.
        smooth_spacing: edges of a voxel, mm, one for each axis: smoothness is then that of the motion in millimetres,
            per millimetre. None takes voxels as cubes, which ties slices 10 mm apart to each other like pixels.

    Raises:
        InputError: for a spacing that is not above 0, or that has not as many numbers as the images have axes.

    Attributes:
        companion_map: what the method's companion predicts, "log_variance" or "score"; None for no companion.
        needs_labels: whether the method, and its companion, learn from labels.
    """

    companion_map: str | None = None
    needs_labels = False

    def __init__(self, smooth_weight: float = 0.01, smooth_spacing: Spacing = None) -> None:
        super().__init__()
        self.smooth_weight, self.smooth_spacing = smooth_weight, check_spacing(smooth_spacing)

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
        return smoothness(deformation, self.smooth_spacing)

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


def check_spacing(spacing: Spacing) -> tuple[float, ...] | None:
    """``spacing``, if all its numbers are above 0.

    Raises:
        InputError: if they are not.
    """
    if spacing is None:
        return None
    if not all(each > 0 for each in spacing):
        raise InputError(f"smooth_spacing is {list(spacing)}: it must be the edges of a voxel in mm, each above 0.")
    return tuple(spacing)


def smoothness(
    deformation: Deformation, spacing: Spacing = None, field: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Mean squared forward difference of the regularised field, times its stride, the largest of all axes.

    The factor keeps one lambda for fields at full and at half resolution: it is VoxelMorph's
    multiplier for a velocity at half resolution.

    Args:
        spacing: edges of a voxel of the fixed image, mm, see `mean_squared_difference`.
        field: what counts in place of the regularised field, on its grid.
        weight: see `mean_squared_difference`.
    """
    strides = deformation.strides
    if len({*strides}) > 1:
        edges = check_axes(spacing or (1.0,) * len(strides), len(strides))
        spacing = [edge * stride for edge, stride in zip(edges, strides)]
    return max(strides) * mean_squared_difference(deformation.regularised if field is None else field, weight, spacing)


def mean_squared_difference(field: Tensor, weight: Tensor | None = None, spacing: Spacing = None) -> Tensor:
    """``mean |weight * grad field|^2`` by forward differences, averaged over the axes; a lone voxel has none.

    Args:
        field: (B, C, *grid).
        weight: (B, 1, *grid), taken where a difference starts; None stands for 1.
        spacing: of the voxels that a field of displacements (C = D) counts in; differences are then those of
            millimetres, per millimetre. None takes voxels as cubes.

    Raises:
        InputError: for a spacing of other dimensions.
    """
    if spacing is not None:
        check_axes(spacing, field.dim() - 2)
    means = []
    for axis in range(2, field.dim()):
        if (n := field.shape[axis]) > 1:
            difference = field.diff(dim=axis)
            if weight is not None:
                difference = weight.narrow(axis, 0, n - 1) * difference
            means.append((difference if spacing is None else in_mm(difference, spacing, axis - 2)).square().mean())
    return torch.stack(means).mean()


def check_axes(spacing: Sequence[float], axes: int) -> Sequence[float]:
    """``spacing``, if it has one edge for each of the ``axes``.

    Raises:
        InputError: if it has not.
    """
    if len(spacing) != axes:
        raise InputError(f"smooth_spacing is {list(spacing)}: the images have {axes} axes; give one edge each.")
    return spacing


def in_mm(difference: Tensor, spacing: Sequence[float], axis: int) -> Tensor:
    """A difference along ``axis`` of displacements (B, D, *grid) in voxels, as millimetres per millimetre."""
    ratios = difference.new_tensor([edge / spacing[axis] for edge in spacing])
    return difference * ratios.view(-1, *[1] * len(spacing))
