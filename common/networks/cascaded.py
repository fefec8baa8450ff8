"""A registration in several passes: the same network looks again at what it has warped so far."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..contract import dimensions, integration_steps
from ..errors import InputError
from ..interfaces import Deformation, needed
from ..spatial import compose, flow, warp


class Cascaded(nn.Module):
    """Apply an estimator several times with shared weights, each time to the moving image as warped so far.

    Recurrent registration (Zhao et al., Recursive Cascaded Networks, ICCV 2019, with one network for all cascades).
    Velocities are summed, and their sum is integrated, so that the way back stays the flow of the opposite velocity;
    displacements are composed. What else a deformation holds is of the last pass. The moving image is sampled once
    by the field of all passes, never an image that was sampled before.

    The weights are the estimator's own: a state dict fits whatever the number of passes. In 3D a training computes
    each pass but the last again on the way back, for memory.

    Args:
        estimator: ``forward(moving, fixed) -> Deformation``.
        cascades: how many times, 1 or more.

    Raises:
        InputError: for fewer than one pass.
    """

    estimator: Any

    def __init__(self, estimator: nn.Module, cascades: int) -> None:
        super().__init__()
        self.spatial_dims = dimensions(estimator)
        self.estimator, self.cascades = estimator, check_cascades(cascades)
        self.uncertainty = getattr(estimator, "uncertainty", None)
        self.integration_steps = integration_steps(estimator)
        self.in_plane = getattr(estimator, "in_plane", False)
        self.register_state_dict_post_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial) after all passes."""
        found = self._once(moving, fixed, self.cascades > 1)
        for number in range(2, self.cascades + 1):
            warped = warp(moving.float(), found.ddf)
            found = self._behind(found, self._once(warped, fixed, number < self.cascades))
        return found

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The way back: the flow of the opposite velocity, or all passes on the swapped pair without one."""
        if deformation.dvf is None:
            return self(fixed, moving)
        return self.estimator.reverse(moving, fixed, deformation)

    def _once(self, moving: Tensor, fixed: Tensor, more: bool) -> Deformation:
        if more and self.training and self.spatial_dims == 3:
            return checkpoint(self.estimator, moving, fixed, use_reentrant=False)
        return self.estimator(moving, fixed)

    def _behind(self, first: Deformation, then: Deformation) -> Deformation:
        """Both as one, with what else ``then`` holds."""
        if first.dvf is None:
            return then._replace(ddf=compose(first.ddf, then.ddf))
        dvf, drawn = first.dvf + needed(then.dvf, "velocity"), None
        if then.drawn is not None:
            drawn = needed(first.drawn, "drawn velocity") + then.drawn
        ddf = flow(dvf if drawn is None else drawn, list(then.ddf.shape[2:]), self.integration_steps)
        return then._replace(ddf=ddf, dvf=dvf, drawn=drawn)


def check_cascades(cascades: Any) -> int:
    """``cascades`` if it is a number of cascades.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(cascades, int) or isinstance(cascades, bool) or cascades < 1:
        raise InputError(f"cascades is {cascades!r}: it must be a whole number from 1 on.")
    return cascades


def cascaded(estimator: nn.Module, cascades: int) -> nn.Module:
    """``estimator`` itself for one pass, else `Cascaded`; of one that already is, with so many passes."""
    if isinstance(estimator, Cascaded):
        estimator = estimator.estimator
    return estimator if check_cascades(cascades) == 1 else Cascaded(estimator, cascades)


def _without_prefix(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    inner = f"{prefix}estimator."
    for key in [key for key in state if key.startswith(inner)]:
        state[prefix + key[len(inner) :]] = state.pop(key)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}estimator.{key[len(prefix) :]}"] = state.pop(key)
