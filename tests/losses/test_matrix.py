"""Every method with every architecture, from the configs of its bundle: a step of training, and what it moves."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from common.interfaces import Deformation, Pair
from common.labels import warped_one_hot
from common.losses import MSEObjective, Objective
from tools.render import combinations

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
SIZE = (32, 32)
METHODS = {method["name"]: name for name, (_, method) in combinations().items()}  # a bundle of each
# whose data term is made of squared residuals, and so is flat where images are equal
SQUARES = ("mse", "nll", "beta_nll", "adaframe", "adareg", "hetero", "adacs", "hetero_disp", "diff")
CHANNELS = {"displacement": 1, "velocity": 2}  # of the uncertainty that a method asks of the estimator
UNCERTAIN = {
    method["name"]: CHANNELS[settings["uncertainty"]]
    for _, method in combinations().values()
    if "uncertainty" in (settings := method.get("estimator_settings", {}))
}
# to a small image of unit variance: lambdas are tuned to lower variances, and few voxels leave 32 x 32 bins empty
ADAPTED = {"nll": {"smooth_weight": 0.01}, "beta_nll": {"smooth_weight": 0.01}, "mi": {"bins": 16}}


@cache
def config(name: str) -> ConfigParser:
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLES / name / "configs" / "train.yaml"))
    parser.update({"spatial_dims": 2} | ({"num_classes": 3} if "num_classes" in parser.get() else {}))
    return parser


@cache
def built(described: str) -> nn.Module:
    torch.manual_seed(0)
    return ConfigParser(json.loads(described)).get_parsed_content()


def network(name: str, key: str) -> nn.Module | None:
    """A bundle's "network" or "companion": one and the same for all bundles that describe it alike."""
    parser = config(name)
    if key not in parser.get():
        return None
    values = parser.get(key).items()
    plain = {k: parser.get_parsed_content(f"{key}::{k}") if str(v).startswith(("@", "$")) else v for k, v in values}
    return built(json.dumps(plain)).train()


def objective_of(name: str, **overrides: Any) -> Objective:
    """A new objective: some have a state."""
    parser = ConfigParser(dict(config(name).get()))
    parser.update({f"objective#{key}": value for key, value in overrides.items()})
    return parser.get_parsed_content("objective")


def gradients(loss: Tensor, trained: nn.Module) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(trained.parameters()), retain_graph=True, allow_unused=True)
    return [g for g in found if g is not None]


def reaches(loss: Tensor, trained: nn.Module) -> bool:
    found = gradients(loss, trained)
    assert all(g.isfinite().all() for g in found)
    return any(g.abs().max() > 0 for g in found)


@pytest.mark.parametrize("name", combinations())
def test_a_step_trains_what_it_should(name: str) -> None:
    estimator, companion, objective = network(name, "network"), network(name, "companion"), objective_of(name)
    torch.manual_seed(0)
    pair = labelled(Pair(torch.rand(2, 1, *SIZE), torch.rand(2, 1, *SIZE)))
    deformation = objective.observe(pair, estimator(pair.moving, pair.fixed))
    predicted = companion and companion(*objective.companion_inputs(pair, deformation))
    terms = objective.displacement_loss(pair, deformation, predicted)
    assert all(term.isfinite() and term.dim() == 0 for term in terms.values())
    assert reaches(terms["loss"], estimator)
    trainer = config(name).get("train#trainer#_target_").rsplit(".", 1)[-1]
    assert (companion is None) == (trainer == "SingleTrainer")
    if trainer == "JointTrainer":
        assert reaches(terms["loss"], companion)
    elif trainer == "AlternatingTrainer":
        theirs = objective.companion_loss(pair, deformation, predicted)
        assert all(term.isfinite() for term in theirs.values())
        assert reaches(theirs["loss"], companion)
        assert not reaches(terms["loss"], companion)
        assert not reaches(theirs["loss"], estimator)


@pytest.mark.parametrize("name", combinations())
def test_evaluation_of_masked_images_is_finite_and_deterministic(name: str) -> None:
    estimator, companion, objective = network(name, "network"), network(name, "companion"), objective_of(name)
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 4:28, 6:30] = 1
    pair = labelled(Pair(torch.rand(1, 1, *SIZE), torch.rand(1, 1, *SIZE), mask=mask))
    with torch.no_grad():
        deformation = objective.eval().observe(pair, estimator.eval()(pair.moving, pair.fixed))
        predicted = companion and companion(*objective.companion_inputs(pair, deformation))
        first, again = (objective.displacement_loss(pair, deformation, predicted)["loss"] for _ in range(2))
    assert first.isfinite()
    assert torch.equal(first, again)


def labelled(pair: Pair) -> Pair:
    """The pair with labels of two classes, where its images are above a half."""
    return pair._replace(moving_label=(pair.moving > 0.5).byte(), fixed_label=(pair.fixed > 0.5).byte())


def constant_map(objective: Objective, pair: Pair, deformation: Deformation) -> Tensor | None:
    """sigma^2 = 1, a score of 1, or labels that are not refined with an uncertainty of 1."""
    if objective.companion_map == "label_uncertainty":
        shares = warped_one_hot(pair.moving_label, deformation.ddf, objective.num_classes)
        return torch.cat([shares, torch.zeros_like(shares)], dim=1)
    image = pair.fixed
    return {"log_variance": torch.zeros_like(image), "score": torch.ones_like(image)}.get(objective.companion_map)


def free(method: str, ddf: Tensor, log_variance: float = -8.0) -> Deformation:
    """A deformation without a network, with the uncertainty that the method asks for."""
    channels = UNCERTAIN.get(method)
    shape = [len(ddf), channels or 1, *ddf.shape[2:]]
    return Deformation(ddf, log_variance=torch.full(shape, log_variance) if channels else None)


def displacement_terms(method: str, objective: Objective, pair: Pair, ddf: Tensor) -> dict[str, Tensor]:
    pair = labelled(pair)
    deformation = objective.observe(pair, free(method, ddf))
    return objective.displacement_loss(pair, deformation, constant_map(objective, pair, deformation))


@pytest.mark.parametrize("method", METHODS)
def test_equal_images_are_best_left_where_they_are(method: str) -> None:
    torch.manual_seed(0)
    objective, image = objective_of(METHODS[method], **ADAPTED.get(method, {})).eval(), blob(12, 12)
    pair, stay = Pair(image, image), torch.zeros(1, 2, *image.shape[2:])
    shifts = [stay + torch.tensor(shift).view(1, 2, 1, 1) for shift in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]
    losses = [displacement_terms(method, objective, pair, ddf)["loss"] for ddf in (stay, *shifts)]
    assert losses[0] < min(losses[1:])


@pytest.mark.parametrize("method", SQUARES)
def test_equal_images_stay_where_they_are(method: str) -> None:
    objective = objective_of(METHODS[method]).eval()
    image, ddf = torch.rand(2, 1, 12, 14), torch.zeros(2, 2, 12, 14, requires_grad=True)
    displacement_terms(method, objective, Pair(image, image), ddf)["loss"].backward()
    assert ddf.grad.abs().max() < 1e-5


def blob(row: float, column: float, size: tuple[int, int] = (24, 26)) -> Tensor:
    i, j = torch.meshgrid(*[torch.arange(float(n)) for n in size], indexing="ij")
    return torch.exp(-((i - row) ** 2 + (j - column) ** 2) / 32)[None, None]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_a_free_field_follows_a_translation(method: str, axis: int) -> None:
    torch.manual_seed(0)
    objective, centre = objective_of(METHODS[method], **ADAPTED.get(method, {})), [12.0, 12.0]
    centre[axis] += 2
    pair = Pair(blob(12, 12), blob(*centre))  # fixed(x) = moving(x - 2)
    ddf = nn.Parameter(torch.zeros(1, 2, *pair.fixed.shape[2:]))
    optimizer = torch.optim.Adam([ddf], lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        displacement_terms(method, objective, pair, ddf)["loss"].backward()
        optimizer.step()
    weight = pair.fixed * (pair.moving - pair.fixed).abs()  # where there is something to see
    along, across = ((ddf.detach()[:, k : k + 1] * weight).sum() / weight.sum() for k in (axis, 1 - axis))
    assert along < -0.5
    assert across.abs() < 0.1
    still, moved = (objective.eval().observe(pair, free(method, x)).warped for x in (torch.zeros_like(ddf), ddf))
    assert (moved - pair.fixed).square().mean() < 0.7 * (still - pair.fixed).square().mean()


@pytest.mark.parametrize(
    ("method", "overrides", "factor"),
    [
        ("mse", {}, 1.0),
        ("adareg", {}, 1.0),
        ("diff", {}, 1.0),
        ("adacs", {}, 1.0),  # a score of 1
        ("nll", {}, 0.5),  # sigma^2 = 1
        ("beta_nll", {}, 0.5),
        ("nll", {"beta": 1.0}, 0.5),
        ("hetero", {"gamma": 0.0}, 0.7310586),  # sigmoid(1)
        ("hetero", {"gamma": 0.0, "formulation": "released"}, 0.5),  # alike everywhere: sigmoid(0)
        ("hetero_disp", {"gamma": 0.0}, 0.7310586),
        ("hetero_disp", {"image_variance": False}, 1.0),
        ("adaframe", {"a0": 0.0, "b0": 0.0}, 0.5),
    ],
)
def test_the_plain_case_of_a_method_is_mse(method: str, overrides: dict[str, Any], factor: float) -> None:
    objective = objective_of(METHODS[method], **overrides).eval()
    pair = Pair(torch.rand(2, 1, 12, 14), torch.rand(2, 1, 12, 14))
    ddf = torch.randn(2, 2, 12, 14, requires_grad=True)
    found = displacement_terms(method, objective, pair, ddf)["data"]
    expected = displacement_terms("mse", MSEObjective(), pair, ddf)["data"]
    assert found.item() == pytest.approx(factor * expected.item(), rel=1e-5)
    first, second = (torch.autograd.grad(data, ddf)[0] for data in (found, expected))
    assert torch.allclose(first, factor * second, atol=1e-7)
