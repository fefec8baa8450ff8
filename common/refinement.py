"""Refine a network's deformation of a pair by its method's own objective: a few steps of optimisation for that pair."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from .contract import integration_steps, moved_axes
from .errors import InputError
from .interfaces import Deformation, Pair
from .sizes import is_tracing
from .spatial import compose, flow, with_axes

if TYPE_CHECKING:
    from .losses import Objective

STRIDE = 2  # voxels per voxel of the velocity of an estimator that has none itself
EPSILON = 1e-4  # of Adam, for the gradient of the loss summed over voxels: where it is far smaller, little moves
MAP_EVERY = 10  # steps from one look of the companion at the warped image to the next
PATIENCE, LEAST_FALL = 10, 1e-4  # steps, and by which share the loss must have fallen after them


class Report(NamedTuple):
    """What a refinement did: how many steps, and the loss before the first and after the last of them."""

    steps: float
    before: float
    after: float


class Refinement:
    """Optimise what an estimator has found for the pair at hand (instance optimisation, Balakrishnan et al., 2019).

    Adam changes the velocity, or, of an estimator without one, that of a flow at half resolution behind its
    displacement, which by itself folds nothing, so that the method's own loss falls: its data term, weighted by the
    frozen companion as in training, and lambda times its smoothness. The companion looks again every 10 steps. Of a
    method that learns from labels the images alone count. What had the least loss is kept; a batch stops, and is
    judged, as one. All is float32, nothing is
    drawn, and the same images give the same field, bit by bit, on one machine.

    It needs the memory of a training step without the network: the fields of the integration at half resolution, a few
    images, and their gradients.

    Args:
        objective: the method.
        steps: of optimisation; 0 leaves the deformation as it is.
        rate: Adam's learning rate, in voxels of the field that is optimised.
        smooth_weight: lambda; None is the objective's own, that of the training.

    Raises:
        InputError: for a setting that cannot be.
    """

    def __init__(
        self,
        objective: Objective,
        steps: int = 0,
        rate: float = 0.05,
        smooth_weight: float | None = None,
    ) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise InputError(f"refine_steps is {steps!r}: it must be a whole number from 0 on.")
        if not rate > 0:
            raise InputError(f"refine_rate is {rate}: it must be above 0.")
        self.objective, self.steps, self.rate = objective.eval(), steps, rate
        self.smooth_weight = objective.smooth_weight if smooth_weight is None else smooth_weight
        self._reports: list[Report] = []

    def of(self, steps: int) -> Refinement:
        """The same with another number of steps, and reports of its own."""
        return Refinement(self.objective, steps, self.rate, self.smooth_weight)

    def report(self) -> Report | None:
        """What the calls since the last report came to, averaged; None if there were none."""
        reports, self._reports = self._reports, []
        return Report(*(sum(each) / len(reports) for each in zip(*reports))) if reports else None

    def __call__(
        self, moving: Tensor, fixed: Tensor, found: Deformation, estimator: nn.Module, companion: nn.Module | None
    ) -> Deformation:
        """``found`` (of images (B, 1, *spatial)) with its field, and its velocity if it has one, refined.

        Raises:
            InputError: where the network is being exported: what is optimised cannot be traced.
        """
        if not self.steps:
            return found
        if is_tracing():
            raise InputError(f"refine_steps is {self.steps}: a network is exported without refinement; leave it at 0.")
        steps, axes = integration_steps(estimator), moved_axes(estimator)
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(moving.device.type, enabled=False):
            pair = Pair(moving.detach().float().clone(), fixed.detach().float().clone())
            start = _detached(found)
            return self._optimised(pair, start, steps, axes, companion)

    def _optimised(
        self, pair: Pair, start: Deformation, steps: int, axes: int, companion: nn.Module | None
    ) -> Deformation:
        size = list(pair.fixed.shape[2:])
        origin = start.dvf if start.dvf is not None else start.ddf.new_zeros(_coarse(start.ddf))
        origin = origin[:, :axes]
        variable = origin.clone().requires_grad_()

        def deformed() -> Deformation:
            velocity = with_axes(variable, len(size))
            if start.dvf is not None:
                return start._replace(dvf=velocity, ddf=flow(velocity, size, steps))
            return start._replace(ddf=compose(start.ddf, flow(velocity, size, steps)))

        optimizer = torch.optim.Adam([variable], lr=self.rate, eps=EPSILON)
        losses: list[float] = []
        predicted, best, kept = None, math.inf, origin
        for step in range(self.steps):
            deformation = self.objective.observe(pair, deformed())
            if step % MAP_EVERY == 0:
                predicted = self._map(pair, deformation, companion)
            loss = self.loss(pair, deformation, predicted)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                break  # images, or a field, of no numbers: sampling by them could end the process
            if losses[-1] < best:
                best, kept = losses[-1], variable.detach().clone()
            optimizer.zero_grad(set_to_none=True)
            (variable.grad,) = torch.autograd.grad(loss * pair.fixed.numel(), [variable])
            optimizer.step()
            if _settled(losses):
                break
        with torch.no_grad():
            after = math.nan
            if variable.isfinite().all():
                after = float(self.loss(pair, self.objective.observe(pair, deformed()), predicted))
            if not after <= best:  # or not a number
                after = best if math.isfinite(best) else losses[0]
                variable.copy_(kept)
            self._reports.append(Report(len(losses), losses[0], after))
            refined = deformed()
            return refined if refined.dvf is None else refined._replace(dvf=refined.dvf.detach())

    def loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None) -> Tensor:
        """The method's data term, with the companion's map of an observed deformation, and lambda times smoothness."""
        data = self.objective.data(pair, deformation, predicted)
        return data + self.smooth_weight * self.objective.smooth(pair, deformation)

    @torch.no_grad()
    def _map(self, pair: Pair, deformation: Deformation, companion: nn.Module | None) -> Tensor | None:
        """What the frozen companion says of a deformation; None of one that looks at labels."""
        if companion is None or self.objective.needs_labels:
            return None
        return companion(*self.objective.companion_inputs(pair, deformation)).float()


def _coarse(ddf: Tensor) -> tuple[int, ...]:
    return (*ddf.shape[:2], *(max((n + 1) // STRIDE, min(n, 2)) for n in ddf.shape[2:]))


def _settled(losses: list[float]) -> bool:
    """Whether the loss no longer falls."""
    if len(losses) <= PATIENCE:
        return False
    before, now = losses[-1 - PATIENCE], losses[-1]
    return before - now < LEAST_FALL * abs(before)


def _detached(found: Deformation) -> Deformation:
    """``found`` with plain tensors of its own, which gradients may pass."""

    def own(value: Any) -> Any:
        return value.detach().float().clone() if isinstance(value, Tensor) else value

    return found._replace(**{name: own(getattr(found, name)) for name in ("ddf", "dvf", "log_variance")})
