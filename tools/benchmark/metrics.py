"""Time our metrics against MONAI's and a percentile loop, of one thread, where both sides give equal values.

Both sides are given the same arrays, in the form that each takes. The curves are mostly sorting, and NumPy sorts as the
processor's instructions have it: on one server its AVX-512 takes 2.4 times as long as its AVX2, and our AUSE with it.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import InputError
from common.metrics import LABEL_CURVES, LabelSparsification, overlap, sparsification

from .bench import Bench, measuring

SIZE = 128
TOLERANCE = 1e-5
CHEAPEST = ("dice", "hd95", "asd_directed")


def run(args: argparse.Namespace) -> None:
    """Check that the values agree, and time both sides."""
    with measuring(args) as bench:
        compare_with_monai(bench)
        compare_with_loop(bench)
        compare_labels_with_loop(bench)


def heart_like_pair(size: int = SIZE) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw two myocardium-like rings, (size, size): end-systole as fixed, an imperfect registration as warped."""
    i, j = np.mgrid[:size, :size]
    angle = np.arctan2(j - size / 2, i - size / 2)

    def ring(centre: tuple[float, float], inner: float, outer: float, lobes: int) -> NDArray[np.bool_]:
        radius = np.hypot(i - size * centre[0], j - size * centre[1]) / (size * (1 + 0.06 * np.cos(lobes * angle)))
        return (radius >= inner) & (radius < outer)

    return ring((0.49, 0.51), 0.11, 0.2, 3), ring((0.5, 0.5), 0.125, 0.205, 2)


def compare_with_monai(bench: Bench) -> None:
    """Dice, HD, HD95 and both ASD in our one call, against those three calls of MONAI that cost least."""
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    fixed, warped = heart_like_pair()
    y, y_pred = (torch.from_numpy(mask)[None, None].float() for mask in (fixed, warped))
    both = {"y_pred": y_pred, "y": y, "include_background": True}
    theirs = {
        "dice": partial(compute_dice, **both),
        "hd": partial(compute_hausdorff_distance, **both, percentile=100),
        "hd95": partial(compute_hausdorff_distance, **both, percentile=95),
        # MONAI measures from the prediction; ours runs from the fixed border, so the roles are swapped.
        "asd_directed": partial(compute_average_surface_distance, **both | {"y_pred": y, "y": y_pred}),
        "asd": partial(compute_average_surface_distance, **both, symmetric=True),
    }
    ours = overlap(fixed, warped)
    for name, call in theirs.items():
        check_equal(name, getattr(ours, name), float(call()))
    calls = {"ours": partial(overlap, fixed, warped), "MONAI": lambda: [theirs[name]() for name in CHEAPEST]}
    timed = bench.time(f"Masks of {SIZE}x{SIZE}, {fixed.sum()} and {warped.sum()} pixels", calls)
    what = f"Dice, HD, HD95 and both ASD of a {SIZE}² pair"
    against = "MONAI's Dice, HD95 and one ASD, equal values"
    bench.claim("metrics_vs_monai", what, against, timed.ratios("MONAI", "ours"))


def compare_with_loop(bench: Bench) -> None:
    """Both sparsification curves of one image by a sort, against a percentile and a mean per step."""
    random = np.random.default_rng(0)
    variance = random.gamma(2.0, 0.002, (SIZE, SIZE)).astype(np.float32)
    error = np.square(random.normal(0, np.sqrt(variance))).astype(np.float32)
    check_equal("ause", sparsification(error, variance).ause, loop_ause(error, variance), relative=1e-3)
    calls = {"ours": partial(sparsification, error, variance), "loop": partial(loop_ause, error, variance)}
    timed = bench.time(f"Sparsification of {SIZE}x{SIZE} pixels in 50 steps", calls)
    what = f"AUSE of a {SIZE}² pair, 50 steps"
    bench.claim("ause_vs_percentile_loop", what, "a loop over percentiles, equal value", timed.ratios("loop", "ours"))


def loop_ause(error: NDArray, uncertainty: NDArray, steps: int = 50) -> float:
    """AUSE as it is usually written: one percentile and one mean per step and curve."""

    def area(rank_by: NDArray) -> float:
        limits = [np.percentile(rank_by, 100 * (1 - step / steps)) for step in range(steps)]
        curve = np.array([error[rank_by <= limit].mean() for limit in limits] + [0.0])
        return float((curve[:-1] + curve[1:]).sum() / (2 * steps))

    return area(uncertainty) - area(error)


def compare_labels_with_loop(bench: Bench) -> None:
    """The curves of label errors of four pairs of three classes, against a percentile and three means per step."""
    random = np.random.default_rng(0)
    chances = random.dirichlet([1.0, 1.0, 1.0], (4, SIZE // 2, SIZE // 2)).transpose(0, 3, 1, 2)
    labels = np.argmax(chances + random.normal(0, 0.4, chances.shape), axis=1).astype(np.uint8)
    errors = np.abs(chances - np.stack([labels == c for c in range(3)], axis=1))
    uncertainty = errors + random.gamma(2.0, 0.1, chances.shape)

    def ours() -> dict[str, float]:
        judged = LabelSparsification(num_classes=3)
        for each in zip(chances, labels, uncertainty):
            judged.add(*each)
        return judged.curves().ause

    loop = partial(loop_label_ause, chances, labels, uncertainty)
    for (name, value), theirs in zip(ours().items(), loop().values(), strict=True):
        check_equal(f"ause of {name}", value, theirs, relative=1e-3)
    case = f"Sparsification of label errors, {labels.size} pixels of {len(labels)} pairs, 2 classes, in 50 steps"
    timed = bench.time(case, {"ours": ours, "loop": loop})
    what = f"AUSE of label errors, ERR, MR and FDR, {len(labels)} pairs of {SIZE // 2}², 50 steps"
    against = "a loop over percentiles, equal values"
    bench.claim("label_ause_vs_percentile_loop", what, against, timed.ratios("loop", "ours"))


def loop_label_ause(chances: NDArray, labels: NDArray, uncertainty: NDArray, steps: int = 50) -> dict[str, float]:
    """AUSE of label errors, miss rate and false discovery rate, mean over the classes: a percentile per step."""
    areas = []
    for c in range(1, chances.shape[1]):
        true, ours = labels == c, chances.argmax(axis=1) == c
        error = np.abs(chances[:, c] - true)
        curves = []
        for rank_by in (uncertainty[:, c], error):
            limits = [np.percentile(rank_by, 100 * (1 - step / steps)) for step in range(steps)]
            points = [loop_rates(error, true, ours, rank_by <= limit) for limit in limits]
            curves.append(np.array([*points, (0.0, 0.0, 0.0)]))
        difference = curves[0] - curves[1]
        areas.append((difference[:-1] + difference[1:]).sum(axis=0) / (2 * steps))
    return dict(zip(LABEL_CURVES, np.mean(areas, axis=0).tolist()))


def loop_rates(error: NDArray, true: NDArray, ours: NDArray, kept: NDArray) -> tuple[float, float, float]:
    """Mean error, miss rate and false discovery rate of the pixels kept."""
    hits = np.count_nonzero(true & ours & kept)
    missed, invented = np.count_nonzero(true & ~ours & kept), np.count_nonzero(~true & ours & kept)
    return error[kept].mean(), missed / max(hits + missed, 1), invented / max(hits + invented, 1)


def check_equal(name: str, ours: float, theirs: float, relative: float = TOLERANCE) -> None:
    """Print both values; a difference makes the timing meaningless."""
    print(f"  {name:16} ours {ours:<12.6g} theirs {theirs:<12.6g}")
    if abs(ours - theirs) > relative * max(abs(ours), abs(theirs)):
        raise InputError(f"benchmark metrics: {name} is {ours} here and {theirs} there; the timings cannot be compared")
