"""Does the uncertainty rank the errors of predicted labels? Sparsification over all voxels of a test set."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .arrays import as_array, as_mask, same_shape
from .sparsification import area, cuts_of, kept_sums

LABEL_CURVES = ("err", "mr", "fdr")

FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE = 1, 2, 3  # true negatives are 0


class LabelCurves(NamedTuple):
    """The errors of the voxels that are left when the most uncertain fraction has been removed.

    Attributes:
        fraction: (steps + 1,), from 0 to 1.
        curves: (steps + 1,) each, means over the foreground classes, by name: "err", the mean |predicted - true|
            probability of a class, "mr", the miss rate FN / (FN + TP), and "fdr", the false discovery rate
            FP / (FP + TP), when voxels leave by uncertainty; "err_oracle", ..., when they leave by their true error.
            The last point, where no voxel is left, is 0.
        ause: area between model and oracle by curve; of "err" it is 0 or more, 0 for a perfect ranking.
        pairs: the number of pairs that the curves are over.
    """

    fraction: NDArray[np.float64]
    curves: dict[str, NDArray[np.float64]]
    ause: dict[str, float]
    pairs: int


class LabelSparsification:
    """Rank the voxels of all pairs together, class by class (predictive, Gong et al., WACV 2022, Sec. 4.2.2).

    Of the rates, one confident error in a whole set decides much: once all true positives are gone, a single false
    negative left is a miss rate of 1. The curves of each pair alone (`pair_curves`), averaged, are milder.

    At fraction f the voxels at or below the (1 - f) quantile of a class's uncertainty are kept; a tie that the
    quantile cuts through counts with its means (as in `sparsification`). A rate of nothing, 0 / 0, is 0, and a class
    that occurs neither in predicted nor in true labels is left out of the means. The result is exact: `add` keeps of
    every counted voxel 5 bytes for each foreground class and 4 for each map that ranks.

    Args:
        num_classes: the classes, background (0) included.
        steps: number of quantile steps.

    Raises:
        InputError: if there is no foreground class or ``steps`` is below 1.

    Example:
        >>> judged = LabelSparsification(num_classes=2)
        >>> chance = np.random.default_rng(0).random((16, 16))
        >>> label = (chance > 0.4).astype(np.uint8)
        >>> judged.add(np.stack([1 - chance, chance]), label, abs(chance - label))
        >>> judged.curves().ause["err"]
        0.0
    """

    def __init__(self, num_classes: int, steps: int = 50) -> None:
        if num_classes < 2 or steps < 1:
            raise InputError(
                f"metrics: label sparsification of {num_classes} classes in {steps} steps; give 2 classes, the "
                "background being one, and 1 step, or more"
            )
        self.num_classes, self.steps = num_classes, steps
        self.pairs = 0
        self._uncertainty: list[NDArray[np.float32]] = []
        self._error: list[NDArray[np.float32]] = []
        self._kind: list[NDArray[np.uint8]] = []

    def add(
        self,
        segmentation: ArrayLike,
        fixed_label: ArrayLike,
        uncertainty: ArrayLike,
        mask: ArrayLike | None = None,
    ) -> None:
        """Take in a pair, unless it has no voxel to count or a value that is not finite: ``pairs`` counts the others.

        Args:
            segmentation: (C, *spatial), the probability of each class; the highest is the predicted label.
            fixed_label: (*spatial) integer map, the true class.
            uncertainty: (C, *spatial), or (*spatial) for one map that ranks every class; the same for all pairs.
            mask: (*spatial), the voxels that count; None for all.

        Raises:
            InputError: if the shapes do not fit.
        """
        predicted, label, rank_by = self._flat(segmentation, fixed_label, uncertainty, mask)
        if not label.size or not (np.isfinite(predicted).all() and np.isfinite(rank_by).all()):
            return
        self.pairs += 1
        classes = np.arange(1, self.num_classes)[:, None]
        true, ours = label == classes, predicted.argmax(axis=0) == classes
        self._uncertainty.append(rank_by.astype(np.float32))
        self._error.append(np.abs(predicted[1:] - true).astype(np.float32))
        self._kind.append(FALSE_NEGATIVE * true.astype(np.uint8) + FALSE_POSITIVE * ours.astype(np.uint8))

    def _flat(
        self, segmentation: ArrayLike, fixed_label: ArrayLike, uncertainty: ArrayLike, mask: ArrayLike | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        """The counted voxels: probabilities (C, n), labels (n,), and what ranks the foreground, (1 or C - 1, n)."""
        predicted, label, rank_by = as_array(segmentation), as_array(fixed_label), as_array(uncertainty)
        if rank_by.ndim == label.ndim:
            rank_by = rank_by[None]
        kept = np.ones(label.shape, dtype=bool) if mask is None else as_mask(mask)
        if len(predicted) != self.num_classes or len(rank_by) not in (1, self.num_classes):
            raise InputError(
                f"metrics: a segmentation of {len(predicted)} classes and {len(rank_by)} maps of their uncertainty; "
                f"give {self.num_classes} classes, and as many maps or one"
            )
        same_shape(segmentation=predicted[0], fixed_label=label, uncertainty=rank_by[0], mask=kept)
        return predicted[:, kept], label[kept], rank_by[-(self.num_classes - 1) :, kept]

    def curves(self) -> LabelCurves:
        """Compute the curves of all pairs added so far; NaN throughout when there is none, or no class in them."""
        fraction = np.arange(self.steps + 1) / self.steps
        names = [f"{name}{oracle}" for name in LABEL_CURVES for oracle in ("", "_oracle")]
        found = [c for c in range(self.num_classes - 1) if any(kind[c].any() for kind in self._kind)]
        each = [self._curves_of(c) for c in found]
        unknown = np.full(self.steps + 1, nan)
        curves = {name: np.mean([of_class[name] for of_class in each], axis=0) if each else unknown for name in names}
        ause = {name: area(curves[name]) - area(curves[f"{name}_oracle"]) for name in LABEL_CURVES}
        return LabelCurves(fraction, curves, ause, self.pairs)

    def _curves_of(self, c: int) -> dict[str, NDArray[np.float64]]:
        """The curves of foreground class ``c``, from 0."""
        error, kind = (np.concatenate([each[c] for each in held]) for held in (self._error, self._kind))
        uncertainty = np.concatenate([each[min(c, len(each) - 1)] for each in self._uncertainty])
        oracle = _ranked(error, kind, error, self.steps)
        return _ranked(error, kind, uncertainty, self.steps) | {f"{name}_oracle": oracle[name] for name in oracle}


def pair_curves(
    segmentation: ArrayLike, fixed_label: ArrayLike, uncertainty: ArrayLike, mask: ArrayLike | None = None
) -> LabelCurves:
    """Compute the curves of one pair alone; the arguments are those of `LabelSparsification.add`."""
    judged = LabelSparsification(len(as_array(segmentation)))
    judged.add(segmentation, fixed_label, uncertainty, mask)
    return judged.curves()


def mean_curves(pairs: Sequence[LabelCurves]) -> LabelCurves:
    """Average the curves of several pairs, and so their areas; a pair without curves is left out."""
    known = [each for each in pairs if not np.isnan(each.ause["err"])] or list(pairs[:1])
    curves = {name: np.mean([each.curves[name] for each in known], axis=0) for name in known[0].curves}
    ause = {name: float(np.mean([each.ause[name] for each in known])) for name in LABEL_CURVES}
    return LabelCurves(known[0].fraction, curves, ause, sum(each.pairs for each in known))


def _ranked(error: NDArray, kind: NDArray, rank_by: NDArray, steps: int) -> dict[str, NDArray[np.float64]]:
    order = np.argsort(rank_by)
    cuts = cuts_of(rank_by[order], steps)
    kind = kind[order]
    found, missed, invented = (
        kept_sums(kind == which, cuts) for which in (TRUE_POSITIVE, FALSE_NEGATIVE, FALSE_POSITIVE)
    )
    points = {
        "err": kept_sums(error[order], cuts) / cuts.kept,
        "mr": _rate(missed, found),
        "fdr": _rate(invented, found),
    }
    return {name: np.append(values, 0.0) for name, values in points.items()}


def _rate(wrong: NDArray, right: NDArray) -> NDArray[np.float64]:
    return np.divide(wrong, wrong + right, out=np.zeros(wrong.size), where=wrong + right > 0)
