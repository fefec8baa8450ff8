"""What passes between networks, objectives and engines."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor

Anything = TypeVar("Anything")


class Pair(NamedTuple):
    """One batch of examples: images (B, 1, *spatial) in [0, 1], labels and masks alike or absent.

    ``mask`` is 1 where the fixed image counts, 0 in padding; ``moving_mask`` is that of the moving one.
    """

    moving: Tensor
    fixed: Tensor
    moving_label: Tensor | None = None
    fixed_label: Tensor | None = None
    mask: Tensor | None = None
    moving_mask: Tensor | None = None

    def swapped(self) -> Pair:
        """The same pair registered the other way round."""
        return Pair(self.fixed, self.moving, self.fixed_label, self.moving_label, self.moving_mask, self.mask)


class Deformation(NamedTuple):
    """What a displacement estimator returns.

    Attributes:
        ddf: displacement field (B, D, *spatial), voxels, float32 (the convention of ``spatial``).
        dvf: stationary velocity (B, D, *coarse) that ``ddf`` integrates, where the architecture has one.
        stride: fixed-grid voxels per voxel of ``dvf``: one number, or one for each axis.
        log_variance: log variance of the displacement (B, 1, *spatial), or of each component of the velocity
            (B, D, *coarse), where the architecture predicts one.
        features: whatever a further head may use.
        auxiliary: the architecture's own loss terms by name (a diffusion loss, say), added to any objective.
        warped: ``moving`` under ``ddf`` (B, 1, *spatial), once an objective has observed the pair.
        drawn: the sample of the velocity (B, D, *coarse) that ``ddf`` integrates in place of ``dvf``, its mean, where
            one was drawn.
        directions: how many directions of registration the batch holds, one after another, in equal parts.
    """

    ddf: Tensor
    dvf: Tensor | None = None
    stride: int | tuple[int, ...] = 1
    log_variance: Tensor | None = None
    features: Tensor | None = None
    auxiliary: dict[str, Tensor] | None = None
    warped: Tensor | None = None
    drawn: Tensor | None = None
    directions: int = 1

    @property
    def regularised(self) -> Tensor:
        """The field that smoothness acts on: the velocity where there is one."""
        return self.ddf if self.dvf is None else self.dvf

    @property
    def strides(self) -> tuple[int, ...]:
        """``stride`` along each axis."""
        return (self.stride,) * self.ddf.shape[1] if isinstance(self.stride, int) else self.stride

    @property
    def observed(self) -> Tensor:
        """``warped``; raise ValueError if no objective has observed the pair."""
        return needed(self.warped, "warped image: the pair was not observed")


class DisplacementEstimator(Protocol):
    """A network that registers ``moving`` to ``fixed``, both (B, 1, *spatial) of any size."""

    def __call__(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation that registers ``moving`` to ``fixed``."""
        ...

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The deformation that registers ``fixed`` to ``moving``, given the forward one."""
        ...


def needed(value: Anything | None, what: str) -> Anything:
    """``value``, which a method cannot do without; raise ValueError, naming ``what``, if there is none."""
    if value is None:
        raise ValueError(f"There is no {what}.")
    return value
