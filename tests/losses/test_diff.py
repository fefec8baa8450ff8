"""common.losses.DiffObjective: the bound with an explicit Laplacian, its optimum, and whose uncertainty it takes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import DiffObjective, MSEObjective
from common.networks import VoxelMorph

GRIDS = pytest.mark.parametrize("grid", [(3, 4), (2, 5), (3, 2, 4), (4, 3, 1)])


def laplacian(grid: tuple[int, ...]) -> np.ndarray:
    """D - A of the voxels that share a face, one pair of voxels after the other."""
    places = list(itertools.product(*map(range, grid)))
    matrix = np.zeros((len(places), len(places)))
    for (i, here), (j, there) in itertools.combinations(enumerate(places), 2):
        if sum(abs(a - b) for a, b in zip(here, there)) == 1:
            matrix[i, j] = matrix[j, i] = -1
    return matrix - np.diag(matrix.sum(1))


def posterior(grid: tuple[int, ...], batch: int = 2) -> tuple[Pair, Deformation]:
    generator = torch.Generator().manual_seed(0)
    size = [2 * n for n in grid]
    moving, fixed, warped = (torch.rand(batch, 1, *size, generator=generator) for _ in range(3))
    mean, log_variance = (torch.randn(batch, len(grid), *grid, generator=generator) for _ in range(2))
    ddf = torch.zeros(batch, len(grid), *size)
    return Pair(moving, fixed), Deformation(ddf, mean, 2, log_variance - 2, warped=warped)


@GRIDS
def test_the_bound_with_an_explicit_laplacian(grid: tuple[int, ...]) -> None:
    prior, sigma, (pair, deformation) = 7.0, 0.3, posterior(grid)
    matrix, voxels = laplacian(grid), math.prod(grid)
    prior_terms = []
    for mean, log_variance in zip(deformation.dvf.double().numpy(), deformation.log_variance.double().numpy()):
        for mu, log in zip(mean.reshape(len(grid), -1), log_variance.reshape(len(grid), -1)):
            spread = np.trace(prior * matrix @ np.diag(np.exp(log))) - log.sum()
            prior_terms.append((spread + prior * mu @ matrix @ mu) / voxels)
    residual = ((pair.fixed - deformation.warped) ** 2).mean().item()
    expected = residual + sigma**2 * sum(prior_terms) / 2  # of two samples
    terms = DiffObjective(prior, sigma).displacement_loss(pair, deformation)
    assert terms["data"].item() == pytest.approx(residual, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_parts_of_the_bound_by_hand() -> None:
    mean = torch.tensor([[0.0, 1.0], [2.0, 4.0]]).expand(1, 2, 2, 2)
    image = torch.full((1, 1, 4, 4), 0.5)
    log_variance = torch.full((1, 2, 2, 2), math.log(0.1))
    deformation = Deformation(torch.zeros(1, 2, 4, 4), mean, 2, log_variance, warped=image + 0.2)
    terms = DiffObjective(prior=10.0, image_sigma=0.5).displacement_loss(Pair(image, image), deformation)
    # edges 1, 2, 2, 3 of each component, over 4 voxels; each voxel has 2 neighbours
    assert terms["smooth"].item() == pytest.approx(2 * (1 + 4 + 4 + 9) / 4)
    assert terms["spread"].item() == pytest.approx(2 * (10 * 2 * 0.1 - math.log(0.1)), rel=1e-5)
    assert terms["loss"].item() == pytest.approx(0.04 + 0.25 * (10 * 9.0 + 8.6051702), rel=1e-5)


@GRIDS
def test_without_images_the_best_variance_is_the_priors(grid: tuple[int, ...]) -> None:
    pair, deformation = posterior(grid)
    degree = torch.tensor(np.diag(laplacian(grid)), dtype=torch.float32).view(grid)
    best = (1 / (5.0 * degree)).log().expand_as(deformation.dvf).clone().requires_grad_()
    DiffObjective(prior=5.0).displacement_loss(pair, deformation._replace(log_variance=best))["loss"].backward()
    assert best.grad.abs().max() < 1e-8


def test_a_flat_mean_costs_nothing_and_a_mask_counts() -> None:
    pair, deformation = posterior((3, 4))
    mask = torch.zeros_like(pair.fixed)
    mask[..., :3, :5] = 1
    still = deformation._replace(dvf=torch.ones_like(deformation.dvf))
    terms = DiffObjective().displacement_loss(pair._replace(mask=mask), still)
    assert terms["smooth"] == 0
    inside = (pair.fixed - deformation.warped)[..., :3, :5].square().mean()
    assert terms["data"].item() == pytest.approx(inside.item(), rel=1e-5)


def test_noise_free_images_leave_mse() -> None:
    pair, deformation = posterior((3, 4))
    found = DiffObjective(image_sigma=0.0).displacement_loss(pair, deformation)["loss"]
    assert torch.equal(found, MSEObjective(0.0).displacement_loss(pair, deformation)["loss"])


@pytest.mark.parametrize("shape", [None, (2, 1, 6, 8), (2, 1, 3, 4), (2, 2, 6, 8)])
def test_an_estimator_without_this_uncertainty_is_refused(shape: tuple[int, ...] | None) -> None:
    pair, deformation = posterior((3, 4))
    deformation = deformation._replace(log_variance=None if shape is None else torch.zeros(shape))
    with pytest.raises(InputError, match="predicts no velocity uncertainty: set its uncertainty to velocity"):
        DiffObjective().displacement_loss(pair, deformation)


@pytest.mark.parametrize("level", [-10.0, 10.0])
def test_extremes_are_finite(level: float) -> None:
    for value in (0.0, 1.0):
        pair, deformation = posterior((3, 4))
        log_variance = torch.full_like(deformation.log_variance, level).requires_grad_()
        mean = torch.zeros_like(deformation.dvf).requires_grad_()
        pair = Pair(*(torch.full_like(pair.fixed, value) for _ in range(2)))
        deformation = deformation._replace(dvf=mean, log_variance=log_variance, warped=pair.moving)
        loss = DiffObjective().displacement_loss(pair, deformation)["loss"]
        loss.backward()
        assert loss.isfinite() and log_variance.grad.isfinite().all() and mean.grad.isfinite().all()


def test_likelihood_and_prior_both_train_the_posterior() -> None:
    torch.manual_seed(0)
    network, objective = VoxelMorph(uncertainty="velocity"), DiffObjective()
    torch.nn.init.normal_(network.flow.weight, std=0.05)
    pair = Pair(torch.rand(1, 1, 16, 20), torch.rand(1, 1, 16, 20))
    terms = objective.displacement_loss(pair, objective.observe(pair, network(pair.moving, pair.fixed)))
    for term in ("data", "spread"):
        gradients = torch.autograd.grad(terms[term], list(network.spread.parameters()), retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in gradients)
