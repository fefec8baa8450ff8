"""Time our metrics against MONAI's and a percentile loop, on equal values, in one interleaved run on one thread."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import InputError
from common.metrics import LABEL_CURVES, LabelSparsification, overlap, sparsification

SIZE = 128
TOLERANCE = 1e-5


def run(args: argparse.Namespace) -> None:
    """Check that the values agree, time both sides in turns, and print the ratios."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI's own deprecations, printed inside its timed calls
            ratios = compare_with_monai(args.repeats) | compare_with_loop(args.repeats)
            ratios |= compare_labels_with_loop(args.repeats)
    finally:
        torch.set_num_threads(threads)
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.1f}")


def heart_like_pair(size: int = SIZE) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw two myocardium-like rings, (size, size): end-systole as fixed, an imperfect registration as warped."""
    i, j = np.mgrid[:size, :size]
    angle = np.arctan2(j - size / 2, i - size / 2)

    def ring(centre: tuple[float, float], inner: float, outer: float, lobes: int) -> NDArray[np.bool_]:
        radius = np.hypot(i - size * centre[0], j - size * centre[1]) / (size * (1 + 0.06 * np.cos(lobes * angle)))
        return (radius >= inner) & (radius < outer)

    return ring((0.49, 0.51), 0.11, 0.2, 3), ring((0.5, 0.5), 0.125, 0.205, 2)


def compare_with_monai(repeats: int) -> dict[str, float]:
    """Dice, HD, HD95 and both ASD in our one call, against three calls of MONAI that give fewer of them."""
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    fixed, warped = heart_like_pair()
    y, y_pred = (torch.from_numpy(mask)[None, None].float() for mask in (fixed, warped))
    both = {"y_pred": y_pred, "y": y, "include_background": True}
    theirs: dict[str, Callable[[], torch.Tensor]] = {
        "dice": partial(compute_dice, **both),
        "hd": partial(compute_hausdorff_distance, **both, percentile=100),
        "hd95": partial(compute_hausdorff_distance, **both, percentile=95),
        # MONAI measures from the prediction; ours runs from the fixed border, so the roles are swapped.
        "asd_directed": partial(compute_average_surface_distance, **both | {"y_pred": y, "y": y_pred}),
        "asd": partial(compute_average_surface_distance, **both, symmetric=True),
    }
    print(f"Masks {SIZE}x{SIZE}, {fixed.sum()} and {warped.sum()} pixels.")
    ours = overlap(fixed, warped)
    for name, call in theirs.items():
        check_equal(name, getattr(ours, name), float(call()))
    seconds = time_in_turns({"ours": partial(overlap, fixed, warped), **theirs}, repeats)
    report(seconds)
    distance, surface = (min(pair, key=seconds.__getitem__) for pair in (("hd", "hd95"), ("asd_directed", "asd")))
    least = seconds["dice"] + seconds[distance] + seconds[surface]
    print(f"MONAI's cheapest three calls: dice + {distance} + {surface}, {1e6 * least:.0f} us; ours gives all five.")
    return {"metrics_vs_monai": least / seconds["ours"]}


def compare_with_loop(repeats: int) -> dict[str, float]:
    """Both sparsification curves of one image by a sort, against a percentile and a mean per step."""
    random = np.random.default_rng(0)
    variance = random.gamma(2.0, 0.002, (SIZE, SIZE)).astype(np.float32)
    error = np.square(random.normal(0, np.sqrt(variance))).astype(np.float32)
    print(f"Sparsification of {SIZE}x{SIZE} pixels in 50 steps.")
    check_equal("ause", sparsification(error, variance).ause, loop_ause(error, variance), relative=1e-3)
    calls = {"ours": partial(sparsification, error, variance), "percentile loop": partial(loop_ause, error, variance)}
    seconds = time_in_turns(calls, repeats)
    report(seconds)
    return {"ause_vs_percentile_loop": seconds["percentile loop"] / seconds["ours"]}


def loop_ause(error: NDArray, uncertainty: NDArray, steps: int = 50) -> float:
    """AUSE as it is usually written: one percentile and one mean per step and curve."""

    def area(rank_by: NDArray) -> float:
        limits = [np.percentile(rank_by, 100 * (1 - step / steps)) for step in range(steps)]
        curve = np.array([error[rank_by <= limit].mean() for limit in limits] + [0.0])
        return float((curve[:-1] + curve[1:]).sum() / (2 * steps))

    return area(uncertainty) - area(error)


def compare_labels_with_loop(repeats: int) -> dict[str, float]:
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

    print(f"Sparsification of label errors, {labels.size} pixels of {len(labels)} pairs, 2 classes, in 50 steps.")
    loop = partial(loop_label_ause, chances, labels, uncertainty)
    for name, value in ours().items():
        check_equal(f"ause of {name}", value, loop()[name], relative=1e-3)
    seconds = time_in_turns({"ours": ours, "percentile loop": loop}, repeats)
    report(seconds)
    return {"label_ause_vs_percentile_loop": seconds["percentile loop"] / seconds["ours"]}


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


def time_in_turns(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that a busy moment of the machine meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def report(seconds: dict[str, float]) -> None:
    """Print the medians."""
    for name, value in seconds.items():
        print(f"  {name:16} {1e6 * value:9.0f} us")
