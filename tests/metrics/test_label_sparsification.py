"""common.metrics.LabelSparsification: a naive loop over quantiles, ties, masks, and what is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import integrate

from common.errors import InputError
from common.metrics import LABEL_CURVES, LabelCurves, LabelSparsification, mean_curves, pair_curves

Example = tuple[np.ndarray, np.ndarray, np.ndarray]


def example(seed: int, shape: tuple[int, ...] = (17, 12), classes: int = 3, ties: bool = False) -> Example:
    """Probabilities, labels and an uncertainty that knows something of the error."""
    rng = np.random.default_rng(seed)
    chances = np.moveaxis(rng.dirichlet(np.ones(classes), shape), -1, 0)
    label = np.argmax(chances + rng.normal(0, 0.4, chances.shape), axis=0).astype(np.uint8)
    if ties:
        chances = np.round(3 * chances) / 3
    error = np.abs(chances - (label == np.arange(classes).reshape(-1, *[1] * len(shape))))
    uncertainty = error + rng.gamma(2, 0.1, error.shape)
    return chances.astype(np.float32), label, np.round(4 * uncertainty) if ties else uncertainty.astype(np.float32)


def judge(examples: Sequence[Example], masks: Sequence[np.ndarray | None] | None = None) -> LabelCurves:
    judged = LabelSparsification(examples[0][0].shape[0])
    for each, mask in zip(examples, masks or [None] * len(examples), strict=True):
        judged.add(*each, mask)
    return judged.curves()


def flat(examples: Sequence[Example]) -> Example:
    """All voxels of all pairs as one image of one axis."""
    chances, labels, uncertainty = zip(*examples, strict=True)
    return (
        np.concatenate([each.reshape(len(each), -1) for each in chances], axis=1),
        np.concatenate([each.ravel() for each in labels]),
        np.concatenate([each.reshape(len(each), -1) for each in uncertainty], axis=1),
    )


def naive(examples: Sequence[Example], steps: int = 50) -> dict[str, np.ndarray]:
    """The curves by one pass over all voxels per step; a voxel of a tie that is cut through counts by its share."""
    chances, label, uncertainty = flat(examples)
    curves: dict[str, list] = {}
    for c in range(1, len(chances)):
        true, ours = label == c, chances.argmax(0) == c
        error = np.abs(chances[c] - true)
        for suffix, rank_by in (("", uncertainty[c]), ("_oracle", error)):
            points = []
            for step in range(steps):
                kept = (label.size - 1) * (steps - step) // steps + 1
                limit = np.percentile(rank_by, 100 * (kept - 1) / (label.size - 1), method="nearest")
                below, tie = rank_by < limit, rank_by == limit
                weight = below + tie * (kept - below.sum()) / tie.sum()
                tp, fn, fp = ((weight * which).sum() for which in (true & ours, true & ~ours, ~true & ours))
                points.append([(weight * error).sum() / kept, fn / (fn + tp) if fn else 0, fp / (fp + tp) if fp else 0])
            for name, values in zip(LABEL_CURVES, np.array([*points, [0, 0, 0]]).T, strict=True):
                curves.setdefault(name + suffix, []).append(values)
    return {name: np.mean(values, axis=0) for name, values in curves.items()}


@pytest.mark.parametrize("ties", [False, True])
def test_it_equals_a_loop_over_the_quantiles(ties: bool) -> None:
    examples = [example(seed, shape, ties=ties) for seed, shape in enumerate([(17, 12), (9, 20), (31, 7)])]
    found, expected = judge(examples), naive(examples)
    assert found.pairs == 3 and found.curves.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found.curves[name], values, rtol=1e-5, atol=1e-9, err_msg=name)
    for name in LABEL_CURVES:
        difference = expected[name] - expected[f"{name}_oracle"]
        assert found.ause[name] == pytest.approx(integrate.trapezoid(difference, found.fraction), rel=1e-5)


def test_the_curves_begin_with_all_voxels_and_end_with_none() -> None:
    examples = [example(seed) for seed in range(2)]
    curves, (chances, label, _) = judge(examples).curves, flat(examples)
    ours = chances.argmax(0)
    missed = [np.mean(ours[label == c] != c) for c in (1, 2)]
    invented = [np.mean(label[ours == c] != c) for c in (1, 2)]
    for name, value in (("mr", np.mean(missed)), ("fdr", np.mean(invented))):
        assert curves[name][0] == curves[f"{name}_oracle"][0] == pytest.approx(value)
    assert all(values[-1] == 0 for values in curves.values())


def test_the_error_as_uncertainty_is_perfect_and_nothing_beats_it() -> None:
    examples = []
    for seed in range(3):
        chances, label, _ = example(seed, ties=seed == 1)
        error = np.abs(chances - (label == np.arange(3)[:, None, None]))
        examples.append((chances, label, error))
    assert judge(examples).ause == dict.fromkeys(LABEL_CURVES, 0)
    informed = judge([example(seed) for seed in range(3)]).ause["err"]
    blind = judge([(*example(seed)[:2], np.ones((3, 17, 12))) for seed in range(3)]).ause["err"]
    assert 0 < informed < blind


def test_neither_the_order_of_the_pairs_nor_that_of_the_voxels_matters() -> None:
    examples = [example(seed, ties=True) for seed in range(4)]
    first, second = judge(examples), judge(examples[::-1])
    mixed = np.random.default_rng(0).permutation(4 * 17 * 12)
    third = judge([tuple(each[..., mixed] for each in flat(examples))])
    for other in (second, third):
        for name, values in first.curves.items():
            np.testing.assert_allclose(values, other.curves[name], rtol=1e-12)


def test_voxels_are_ranked_over_all_pairs_and_not_pair_by_pair() -> None:
    """One pair is certain and right, the other uncertain and wrong: half of the voxels gone, no error is left."""
    label = np.zeros((4, 5), np.uint8)
    label[:2] = 1
    right = np.stack([label == 0, label == 1]).astype(float)
    curves = judge([(right, label, np.zeros((4, 5))), (1 - right, label, np.ones((4, 5)))]).curves
    assert curves["err"][0] == curves["mr"][0] == curves["fdr"][0] == 0.5
    assert curves["err"][26] == curves["mr"][26] == curves["fdr"][26] == 0


def test_a_mask_leaves_voxels_out() -> None:
    chances, label, uncertainty = example(0)
    mask = np.zeros(label.shape, np.uint8)
    mask[2:9, 3:8] = 1
    masked = judge([(chances, label, uncertainty)], [mask])
    cut = judge([(chances[:, 2:9, 3:8], label[2:9, 3:8], uncertainty[:, 2:9, 3:8])])
    assert masked.ause == cut.ause


def test_one_map_may_rank_every_class() -> None:
    examples = [example(seed) for seed in range(2)]
    one = judge([(chances, label, uncertainty[0]) for chances, label, uncertainty in examples])
    each = judge([(chances, label, np.stack([uncertainty[0]] * 3)) for chances, label, uncertainty in examples])
    assert one.ause == each.ause


def test_a_class_that_never_occurs_is_left_out() -> None:
    chances, label, uncertainty = example(0, classes=2)
    padded = np.concatenate([chances, np.zeros((1, *label.shape))])
    both = judge([(padded, label, np.concatenate([uncertainty, uncertainty[:1]]))])
    assert both.ause == judge([(chances, label, uncertainty)]).ause
    empty = judge([(np.stack([np.ones((6, 6)), np.zeros((6, 6))]), np.zeros((6, 6), np.uint8), np.ones((6, 6)))])
    assert empty.pairs == 1 and all(math.isnan(value) for value in empty.ause.values())


def test_means_over_pairs_have_the_mean_area() -> None:
    pairs = [pair_curves(*example(seed)) for seed in range(3)]
    empty = pair_curves(np.stack([np.ones((6, 6)), np.zeros((6, 6))]), np.zeros((6, 6), np.uint8), np.ones((6, 6)))
    mean = mean_curves([*pairs, empty])
    assert mean.pairs == 3
    for name in LABEL_CURVES:
        assert mean.ause[name] == pytest.approx(np.mean([each.ause[name] for each in pairs]))
        difference = mean.curves[name] - mean.curves[f"{name}_oracle"]
        assert mean.ause[name] == pytest.approx(integrate.trapezoid(difference, mean.fraction))
    assert pairs[0].ause == judge([example(0)]).ause != judge([example(0), example(1)]).ause
    assert math.isnan(mean_curves([empty]).ause["err"])


def test_what_is_not_finite_is_left_out_and_nothing_is_not_a_number() -> None:
    good, bad = example(0), example(1)
    bad[0][1, 3, 3] = np.nan
    unknown = (*example(2)[:2], np.full((3, 17, 12), np.inf))
    found = judge([good, bad, unknown])
    assert (found.pairs, found.ause) == (1, judge([good]).ause)
    nothing = judge([good], [np.zeros((17, 12))])
    assert nothing.pairs == 0 and all(math.isnan(value) for value in nothing.ause.values())
    assert all(len(values) == 51 for values in nothing.curves.values())


def test_bad_input_is_named() -> None:
    chances, label, uncertainty = example(0)
    with pytest.raises(InputError, match="1 classes in 50 steps"):
        LabelSparsification(1)
    with pytest.raises(InputError, match="in 0 steps"):
        LabelSparsification(2, steps=0)
    judged = LabelSparsification(3)
    with pytest.raises(InputError, match="segmentation of 2 classes"):
        judged.add(chances[:2], label, uncertainty)
    with pytest.raises(InputError, match="2 maps of their uncertainty"):
        judged.add(chances, label, uncertainty[:2])
    with pytest.raises(InputError, match="shapes differ"):
        judged.add(chances, label.T, uncertainty)
