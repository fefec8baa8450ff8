"""common.losses.AdaCSObjective: Eq. 2 and 9 by hand, and the momentum of Eq. 5 to 7."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import AdaCSObjective, MSEObjective
from common.networks import ScoringEstimator


def constant_residual(residual: float, size: int = 4) -> tuple[Pair, Deformation]:
    """A pair whose squared residual is ``residual`` everywhere."""
    fixed = torch.full((1, 1, size, size), 0.2)
    warped = fixed + math.sqrt(residual)
    return Pair(warped, fixed), Deformation(torch.zeros(1, 2, size, size), warped=warped)


def test_a_score_of_one_is_mse(observed: Callable) -> None:
    pair, deformation = observed(AdaCSObjective())
    terms = AdaCSObjective().displacement_loss(pair, deformation, torch.ones_like(pair.fixed))
    assert torch.equal(terms["loss"], MSEObjective().displacement_loss(pair, deformation)["loss"])
    assert torch.equal(AdaCSObjective().displacement_loss(pair, deformation)["loss"], terms["loss"])


def test_a_score_weighs_its_own_voxel(observed: Callable) -> None:
    objective = AdaCSObjective(smooth_weight=0.0)
    pair, deformation = observed(objective)
    score = torch.rand_like(pair.fixed)
    expected = (score * (pair.fixed - deformation.warped) ** 2).mean()
    assert torch.allclose(objective.displacement_loss(pair, deformation, score)["loss"], expected)


def test_companion_loss_by_hand() -> None:
    pair, deformation = constant_residual(0.09)
    score = torch.tensor([0.5, 0.7, 0.9, 1.0]).expand(1, 1, 4, 4)
    terms = AdaCSObjective(alpha=0.2, beta=3.0, constant_momentum=0.5).companion_loss(pair, deformation, score)
    scored, regular = 0.09 * 0.775, (0.25 + 0.09 + 0.01) / 4
    variation = (0.04 + 0.04 + 0.01) / 3 / 2  # along the second axis only, of two
    assert terms["scored"].item() == pytest.approx(scored, rel=1e-5)
    assert terms["regular"].item() == pytest.approx(regular, rel=1e-5)
    assert terms["variation"].item() == pytest.approx(variation, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(scored + 0.2 * regular + 3.0 * 0.5 * variation, rel=1e-5)


def test_losses_are_of_the_voxels_in_the_mask(observed: Callable) -> None:
    torch.manual_seed(0)
    mask = (torch.rand(2, 1, 10, 12) > 0.4).float()
    pair, deformation = observed(AdaCSObjective(), mask=mask)
    pair, score = pair._replace(fixed=pair.fixed + 5 * (1 - mask)), torch.rand_like(mask)
    squared = ((pair.fixed - deformation.warped.detach()) ** 2)[mask > 0].double()
    inside = score[mask > 0].double()
    objective = AdaCSObjective(alpha=0.2, beta=3.0)
    data = objective.displacement_loss(pair, deformation, score)["data"]
    terms = objective.companion_loss(pair, deformation, score)
    scored, regular = (inside * squared).mean().item(), ((1 - inside) ** 2).mean().item()
    momentum = 0.01 * math.cos(math.pi / 2 * squared.mean().item())
    assert data.item() == pytest.approx(scored, rel=1e-5)
    assert terms["momentum"].item() == pytest.approx(momentum, rel=1e-5)
    differences = [(score.double().diff(dim=axis) ** 2).mean().item() for axis in (2, 3)]  # of the whole map
    loss = scored + 0.2 * regular + 3 * momentum * sum(differences) / 2
    assert terms["loss"].item() == pytest.approx(loss, rel=1e-5)


def test_the_best_constant_score_balances_residual_and_pull() -> None:
    pair, deformation = constant_residual(0.02)
    score = torch.full((1, 1, 4, 4), 1 - 0.02 / (2 * 0.05), requires_grad=True)
    AdaCSObjective(alpha=0.05).companion_loss(pair, deformation, score)["loss"].backward()
    assert score.grad.abs().max() < 1e-7


def momenta(objective: AdaCSObjective, residuals: list[float], score: float = 1.0) -> list[float]:
    found = []
    for epoch, residual in enumerate(residuals, start=1):
        objective.start_epoch(epoch)
        pair, deformation = constant_residual(residual)
        terms = objective.companion_loss(pair, deformation, torch.full_like(pair.fixed, score))
        found.append(terms["momentum"].item())
    return found


def test_momentum_starts_at_zero_and_follows_equation_7() -> None:
    objective = AdaCSObjective()
    assert objective.momentum == 0
    residuals, expected, m = [0.01, 0.5, 0.0, 1.0], [], 0.0
    for mu in residuals:
        m = 0.99 * m + 0.01 * math.cos(math.pi / 2 * mu)
        expected.append(m)
    assert momenta(objective, residuals) == pytest.approx(expected, abs=1e-6)
    assert expected[0] == pytest.approx(0.00999877, abs=1e-8)
    assert objective.momentum.item() == pytest.approx(expected[-1], abs=1e-6)


def test_momentum_of_the_paper_ignores_the_score_and_the_displacement_step() -> None:
    assert momenta(AdaCSObjective(), [0.3], score=0.5) == momenta(AdaCSObjective(), [0.3], score=1.0)
    objective, (pair, deformation) = AdaCSObjective(), constant_residual(0.3)
    for score in (None, torch.ones_like(pair.fixed)):
        objective.displacement_loss(pair, deformation, score)
    assert objective.momentum == 0


def test_constant_momentum_stays() -> None:
    assert momenta(AdaCSObjective(constant_momentum=0.25), [0.1, 0.9]) == [0.25, 0.25]


def test_momentum_is_part_of_the_state() -> None:
    first, second = AdaCSObjective(), AdaCSObjective()
    momenta(first, [0.1, 0.2])
    second.load_state_dict(first.state_dict())
    assert momenta(first, [0.3]) == momenta(second, [0.3])


@pytest.mark.parametrize("formulation", ["paper", "released"])
def test_momentum_follows_the_mean_over_processes(formulation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("common.losses.adacs.mean_over_processes", lambda value: seen.append(value) or 0 * value + 0.3)
    objective, (pair, deformation) = AdaCSObjective(formulation=formulation), constant_residual(0.1)
    objective.displacement_loss(pair, deformation)
    objective.companion_loss(pair, deformation, torch.ones_like(pair.fixed))
    assert torch.stack(seen).tolist() == pytest.approx([0.1])
    expected = {"paper": 0.01 * math.cos(math.pi / 2 * 0.3), "released": math.cos(3.14 * 50 * 0.3)}
    assert objective.momentum.item() == pytest.approx(expected[formulation], abs=1e-4)


def test_of_the_paper_the_state_is_the_momentum_alone() -> None:
    assert list(AdaCSObjective().state_dict()) == ["momentum"]


@pytest.mark.parametrize("formulation", ["paper", "released"])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(6, 6), (6, 5, 1)])
def test_extremes_are_finite(formulation: str, level: float, size: tuple[int, ...]) -> None:
    objective = AdaCSObjective(formulation=formulation)
    black, image = torch.zeros(1, 1, *size), torch.rand(1, 1, *size)
    for moving, fixed in ((black, black), (image, image), (image, black), (black + 1, black)):
        ddf = torch.zeros(1, len(size), *size, requires_grad=True)
        score = torch.full((1, 1, *size), level, requires_grad=True)
        pair = Pair(moving, fixed)
        deformation = objective.observe(pair, Deformation(ddf))
        losses = [objective.displacement_loss, objective.companion_loss]
        total: Tensor = sum(loss(pair, deformation, score)["loss"] for loss in losses)
        total.backward()
        assert total.isfinite()
        assert ddf.grad.isfinite().all()
        assert score.grad.isfinite().all()


def test_the_scoring_estimator_sees_the_fixed_image_alone(observed: Callable) -> None:
    pair, deformation = observed(AdaCSObjective())
    assert AdaCSObjective().companion_inputs(pair, deformation) == (pair.fixed,)


def test_with_two_inputs_it_also_sees_warped_as_an_observation(observed: Callable) -> None:
    objective = AdaCSObjective(inputs=2)
    pair, deformation = observed(objective)
    warped, fixed = objective.companion_inputs(pair, deformation)
    assert torch.equal(warped, deformation.warped) and not warped.requires_grad
    assert fixed is pair.fixed
    assert ScoringEstimator(inputs=2)(warped, fixed).shape == pair.fixed.shape


@pytest.mark.parametrize("inputs", [0, 3])
def test_another_number_of_inputs_is_refused(inputs: int) -> None:
    with pytest.raises(InputError, match=f"inputs is {inputs}: a score looks at 1 image"):
        AdaCSObjective(inputs=inputs)


def test_an_unknown_formulation_is_refused() -> None:
    with pytest.raises(InputError, match="formulation is 'old'"):
        AdaCSObjective(formulation="old")


def test_scores_settle_where_the_loss_is_least_and_do_not_saturate() -> None:
    """Of a constant residual r and flat scores, Eq. 9 is least at 1 - r / (2 alpha)."""
    torch.manual_seed(0)
    scoring, objective = ScoringEstimator(), AdaCSObjective(alpha=0.02)
    optimizer = torch.optim.Adam(scoring.parameters(), lr=3e-4)
    pair = Pair(torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32))
    deformation = Deformation(torch.zeros(2, 2, 32, 32), warped=pair.fixed + math.sqrt(0.008))
    for _ in range(60):
        optimizer.zero_grad()
        objective.companion_loss(pair, deformation, scoring(pair.fixed))["loss"].backward()
        optimizer.step()
    score = scoring(pair.fixed)
    assert score.mean().item() == pytest.approx(1 - 0.008 / 0.04, abs=0.05) and score.max() < 0.99
