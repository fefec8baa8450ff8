"""common.networks: the variance and the scoring estimator."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from common.networks import ScoringEstimator, VarianceEstimator

ScoringOfTwo = partial(ScoringEstimator, inputs=2)
COMPANIONS = pytest.mark.parametrize(
    ("kind", "inputs"), [(VarianceEstimator, 2), (ScoringEstimator, 1), (ScoringOfTwo, 2)]
)


@pytest.mark.parametrize(
    ("kind", "count"), [(VarianceEstimator, 109_025), (ScoringEstimator, 108_881), (ScoringOfTwo, 109_025)]
)
def test_number_of_parameters(kind: type[nn.Module], count: int) -> None:
    assert sum(p.numel() for p in kind().parameters()) == count


@COMPANIONS
@pytest.mark.parametrize("size", [(32, 40), (31, 7), (9, 20, 5), (12, 16, 1)])
def test_a_map_has_the_size_of_the_image_and_is_float32(kind: type[nn.Module], inputs: int, size: tuple) -> None:
    estimator, seen = kind(len(size)), [torch.rand(2, 1, *size) for _ in range(inputs)]
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found = estimator(*seen)
        assert found.shape == (2, 1, *size)
        assert found.dtype == torch.float32


@pytest.mark.parametrize("bias", [-1e4, 0.0, 1e4])
def test_log_variance_and_score_stay_in_their_ranges(bias: float) -> None:
    variance, scoring, image = VarianceEstimator(), ScoringEstimator(), torch.rand(1, 1, 16, 16)
    for estimator in (variance, scoring):
        nn.init.constant_(estimator.head.bias, bias)
    log_variance, score = variance(image, image), scoring(image)
    assert log_variance.abs().max() <= 10
    assert bias == 0 or torch.equal(log_variance, torch.full_like(log_variance, 10 if bias > 0 else -10))
    assert log_variance.exp().isfinite().all()
    assert 0 <= score.min() <= score.max() <= 1


@COMPANIONS
def test_it_says_how_many_images_it_looks_at_and_uses_each(kind: type[nn.Module], inputs: int) -> None:
    estimator = kind()
    assert estimator.inputs == inputs
    seen = [torch.rand(1, 1, 16, 20, requires_grad=True) for _ in range(inputs)]
    estimator(*seen).sum().backward()
    assert all(image.grad.abs().max() > 0 for image in seen)


@pytest.mark.parametrize("kind", [ScoringEstimator, ScoringOfTwo])
def test_scores_start_near_one(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    estimator = kind()
    score = estimator(*[torch.rand(1, 1, 32, 32)] * estimator.inputs)
    assert 0.85 < score.min() <= score.max() < 0.97
    nn.init.zeros_(estimator.head.weight)
    assert estimator(*[torch.rand(1, 1, 16, 16)] * estimator.inputs).mean().item() == pytest.approx(0.924142)  # of 2.5
