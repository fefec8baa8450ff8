"""common.losses.WeakObjective: the overlap of warped labels, by hand, and what does not count."""

from __future__ import annotations

import pytest
import torch

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.labels import one_hot, warped_one_hot
from common.losses import NCCObjective, WeakObjective
from common.losses.weak import mean_overlap

DICE = (0.5, 0.5)


def labels_of(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)[:, None, None]


def test_overlap_is_the_dice_of_equation_2() -> None:
    seen, true = one_hot(labels_of([0, 1, 1, 2]), 3), one_hot(labels_of([0, 1, 2, 2]), 3)
    expected = (1 + 2 * 1 / 3 + 2 * 1 / 3) / 3
    assert mean_overlap(seen, true, None, DICE).item() == pytest.approx(expected)


def test_tversky_weighs_missed_and_added_voxels() -> None:
    seen, true = one_hot(labels_of([1, 1, 1, 0, 0, 0]), 2), one_hot(labels_of([0, 0, 1, 1, 0, 0]), 2)
    hit, missed, added = 1, 1, 2  # of class 1; class 0 has hit 2, missed 2, added 1
    expected = (hit / (hit + 0.7 * missed + 0.3 * added) + 2 / (2 + 0.7 * 2 + 0.3 * 1)) / 2
    assert mean_overlap(seen, true, None, (0.7, 0.3)).item() == pytest.approx(expected)


def test_padding_and_missing_classes_do_not_count() -> None:
    seen, true = one_hot(labels_of([0, 1, 1, 0]), 3), one_hot(labels_of([0, 1, 0, 1]), 3)
    inside = torch.tensor([1.0, 1, 0, 0]).view(1, 1, 1, 4)
    assert mean_overlap(seen, true, inside, DICE).item() == 1  # and class 2, which nobody has, is left out
    assert mean_overlap(seen, true, None, DICE).item() == pytest.approx((2 * 1 / 4 + 2 * 1 / 4) / 2)


def test_where_there_is_no_label_the_overlap_is_finite() -> None:
    seen, true = one_hot(labels_of([0, 1, 1, 0]), 3).requires_grad_(), one_hot(labels_of([0, 1, 0, 1]), 3)
    nowhere = torch.zeros(1, 1, 1, 4)
    assert mean_overlap(seen, true, nowhere, DICE) == 0
    for mask in (None, nowhere):  # class 2 is in neither
        (gradient,) = torch.autograd.grad(mean_overlap(seen, true, mask, DICE), seen)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("size", [(12, 10), (8, 9, 7)])
def test_the_loss_adds_the_overlap_and_pulls_labels_together(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    label = torch.zeros(1, 1, *size, dtype=torch.uint8)
    label[(..., *[slice(3, 6)] * len(size))] = 1
    pair = Pair(torch.rand(1, 1, *size), torch.rand(1, 1, *size), label, label.roll(1, dims=2))
    ddf = torch.zeros(1, len(size), *size, requires_grad=True)
    objective = WeakObjective(num_classes=2, window=3)
    deformation = objective.observe(pair, Deformation(ddf))
    terms = objective.displacement_loss(pair, deformation)
    plain = NCCObjective(0.01, window=3).displacement_loss(pair, deformation)
    assert terms["loss"].item() == pytest.approx((plain["loss"] - terms["overlap"]).item())
    (gradient,) = torch.autograd.grad(-terms["overlap"], ddf)
    moved = objective.observe(pair, Deformation(ddf.detach() - 50 * gradient))
    assert objective.displacement_loss(pair, moved)["overlap"] > terms["overlap"]


def test_warped_labels_add_up_and_the_outside_is_background() -> None:
    label = torch.randint(0, 4, (2, 1, 9, 8))
    shares = warped_one_hot(label, 3 * torch.randn(2, 2, 9, 8), 4)
    assert torch.allclose(shares.sum(1), torch.ones(2, 9, 8), atol=1e-5) and shares.min() > -1e-5
    away = warped_one_hot(label, torch.full((2, 2, 9, 8), 100.0), 4)
    assert torch.equal(away[:, 0], torch.ones(2, 9, 8))
    assert torch.allclose(warped_one_hot(label, torch.zeros(2, 2, 9, 8), 4), one_hot(label, 4), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 1}, "num_classes is 1: it must be 2 or more, background included"),
        ({"tversky": [0.5]}, r"tversky is \[0.5\]: it must be two weights above 0"),
        ({"tversky": [0.5, -1]}, "it must be two weights above 0"),
        ({"window": 4}, "window is 4"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        WeakObjective(**settings)


def test_the_similarity_may_be_the_squared_residual_and_the_overlap_weighs_as_much_as_it_is_told() -> None:
    torch.manual_seed(0)
    moving, fixed = torch.rand(2, 1, 1, 12, 12)
    label = torch.randint(0, 3, (1, 1, 12, 12))
    pair = Pair(moving, fixed, label, label.flip(-1))
    objective = WeakObjective(0.1, similarity="mse", overlap_weight=0.3)
    found = objective.observe(pair, Deformation(torch.rand(1, 2, 12, 12)))
    terms = objective.displacement_loss(pair, found)
    squared = (fixed - found.warped).square().mean()
    torch.testing.assert_close(terms["data"], squared)
    expected = squared + 0.1 * terms["smooth"] - 0.3 * terms["overlap"]
    torch.testing.assert_close(terms["loss"], expected)


def test_a_similarity_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="similarity is 'mi': it must be one of ncc, mse"):
        WeakObjective(similarity="mi")
