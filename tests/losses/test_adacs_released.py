"""common.losses.AdaCSObjective as released: a momentum that moves in every displacement step, data that count twice."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from common.interfaces import Deformation, Pair
from common.losses import AdaCSObjective


def constant_residual(residual: float, size: int = 4) -> tuple[Pair, Deformation]:
    """A pair whose squared residual is ``residual`` everywhere."""
    fixed = torch.full((1, 1, size, size), 0.2)
    warped = fixed + math.sqrt(residual)
    return Pair(warped, fixed), Deformation(torch.zeros(1, 2, size, size), warped=warped)


def test_released_momentum_is_of_the_voxels_in_the_mask() -> None:
    objective, (pair, deformation) = AdaCSObjective(formulation="released"), constant_residual(0.002)
    mask = torch.ones_like(pair.fixed)
    mask[..., 2:] = 0
    deformation = deformation._replace(warped=deformation.warped + 1 - mask)
    objective.displacement_loss(pair._replace(mask=mask), deformation)
    assert objective.momentum.item() == pytest.approx(math.cos(3.14 * 50 * 0.002), abs=1e-4)


# epochs of the phases displacement, companion, both and both: the squared residual and the score of each step
RELEASED = [[(0.002, None), (0.006, None)], [(0.004, 0.5)], [(0.004, 0.5), (0.001, 1.0)], [(0.01, 0.8)]]


def released_momenta(directions: int, objective: AdaCSObjective) -> list[float]:
    """The momentum after each step of `RELEASED`; of two directions, one has a residual twice as large, one none."""
    found = []
    for number, epoch in enumerate(RELEASED, start=1):
        objective.start_epoch(number)
        for residual, score in epoch:
            cases = [constant_residual(value) for value in ([residual] if directions == 1 else [2 * residual, 0.0])]
            pair = Pair(*(torch.cat([case[0][k] for case in cases]) for k in range(2)))
            fields, warped = (torch.cat([getattr(case[1], name) for case in cases]) for name in ("ddf", "warped"))
            deformation = Deformation(fields, warped=warped, directions=directions)
            predicted = None if score is None else torch.full_like(pair.fixed, score)
            if number != 2:
                objective.displacement_loss(pair, deformation, predicted)
            if predicted is not None:
                terms = objective.companion_loss(pair, deformation, predicted)
                assert terms["momentum"] == objective.momentum
            found.append(objective.momentum.item())
    return found


@pytest.mark.parametrize(("directions", "share"), [(1, 1.0), (2, 0.5)])
def test_released_momentum_by_hand(directions: int, share: float) -> None:
    def target(*losses: float) -> float:
        return math.cos(3.14 * 50 * share * sum(losses) / len(losses))

    first = target(0.002, 0.006)  # a decay of 0
    third = [2 / 3 * first + 1 / 3 * target(0.002)]
    third.append(2 / 3 * third[0] + 1 / 3 * target(0.002, 0.001))
    last = 0.75 * third[1] + 0.25 * target(0.008)
    found = released_momenta(directions, AdaCSObjective(formulation="released"))
    assert found == pytest.approx([target(0.002), first, first, *third, last], abs=1e-4)


def test_released_momentum_is_near_one_after_the_warm_up() -> None:
    objective, (pair, deformation) = AdaCSObjective(formulation="released"), constant_residual(0.001)
    for epoch in range(1, 21):
        objective.start_epoch(epoch)
        objective.displacement_loss(pair, deformation)
    assert objective.momentum.item() == pytest.approx(math.cos(0.157), abs=1e-4)
    objective.start_epoch(500)  # a decay of 0.99
    objective.displacement_loss(*constant_residual(0.02))
    assert objective.momentum.item() == pytest.approx(0.99 * math.cos(0.157) + 0.01 * math.cos(3.14), abs=1e-4)


def test_released_data_term_counts_twice(observed: Callable) -> None:
    objective = AdaCSObjective(smooth_weight=0.1, formulation="released")
    pair, deformation = observed(objective)
    score = torch.rand_like(pair.fixed)
    terms = objective.displacement_loss(pair, deformation, score)
    assert torch.allclose(terms["loss"], 2 * terms["data"] + 0.1 * terms["smooth"])
    warm_up = objective.displacement_loss(pair, deformation)
    assert torch.allclose(warm_up["loss"], warm_up["data"] + 0.1 * warm_up["smooth"])


def test_released_momentum_goes_on_within_an_epoch() -> None:
    first, second = (AdaCSObjective(formulation="released") for _ in range(2))
    released_momenta(1, first)
    second.load_state_dict(first.state_dict())
    second.epoch = first.epoch
    for objective in (first, second):
        objective.displacement_loss(*constant_residual(0.003))
    assert first.mu.item() == pytest.approx((0.008 + 0.003) / 2, rel=1e-4)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
