"""The report's figures from evaluations and runs: which are drawn, under which words."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .columns import value
from .evaluations import Evaluation, predict_labels
from .examples import Example
from .figures.distribution import distribution
from .figures.label_sparsification import CURVES as LABEL_CURVES
from .figures.label_sparsification import LabelCurves, label_sparsification
from .figures.pair import PairRow, pair_figure
from .figures.path import path_animation
from .figures.sparsification import Curves, sparsification
from .figures.style import Look, look, to_svg
from .figures.training import training, validation
from .figures.truth import comparable, endpoint_error, endpoint_figure, uncertainty_figure
from .runs import Run
from .table import UNREGISTERED, split_undeformed

GAMMA = 0.5  # of the hetero weight, as published
MOST_ROWS = 40  # of all pair figures together: about 3 MB
TRUTH_PAIRS = 2  # of which the truth is shown
CURVES = ("fraction", "model", "oracle", "random")


@dataclass(frozen=True)
class Picture:
    """One figure of the page: an SVG element (or an image's), its text alternative and its caption."""

    svg: str
    alt: str
    caption: str


def looks(evaluations: Sequence[Evaluation]) -> dict[str, Look]:
    """Return the methods' colours and dashes, the same in every figure; no registration has none."""
    _, methods = split_undeformed(evaluations)
    return {each.name: look(i) for i, each in enumerate(methods)}


def weight(evaluation: Evaluation, view: Example) -> np.ndarray | None:
    """Return the weight (H, W), 0 to 1, that the method's loss gives each squared residual; None if all are equal.

    hetero: Eq. 4 of Zhang et al. 2024, sigmoid((fixed^2 / sigma^2)^gamma); AdaCS: the score itself; NLL and beta-NLL:
    1 / sigma^2 and 1 / sigma, as shares of their largest.
    """
    if view.uncertainty is None:
        return None
    if view.uncertainty_name == "score":
        return view.uncertainty
    if view.uncertainty_name != "log_variance":
        return None
    if "hetero" in evaluation.method:
        ratio = view.fixed.astype(np.float64) ** 2 * np.exp(-view.uncertainty.astype(np.float64))
        return 1 / (1 + np.exp(-(ratio**GAMMA)))
    if evaluation.method.endswith("nll"):
        power = 0.5 if evaluation.method.startswith("beta") else 1.0
        return np.exp(power * (view.uncertainty.min() - view.uncertainty))
    return None


def shared_examples(evaluations: Sequence[Evaluation]) -> tuple[list[Evaluation], list[str]]:
    """Return the evaluations that kept examples, and the pairs that all of these kept, few enough for one page."""
    having = [each for each in evaluations if each.examples]
    if not having:
        return [], []
    common = set.intersection(*({example.id for example in each.examples} for each in having))
    ids = [example.id for example in having[0].examples if example.id in common]
    return having, ids[: max(1, MOST_ROWS // (len(having) + 1))]


def _find(evaluation: Evaluation, pair: str) -> Example:
    return next(example for example in evaluation.examples if example.id == pair)


def pair_rows(evaluations: Sequence[Evaluation], pair: str) -> list[PairRow]:
    """Return one pair as each method registers it; each of them must have kept it."""
    rows = []
    for each in evaluations:
        view = _find(each, pair).view()
        # what a method predicts counts; what it only warps, where it predicts no labels
        known = [float(each.values(key, [pair])[0]) for key in ("label/dsc", "standard/dsc")]
        dsc = next((value for value in known if not np.isnan(value)), np.nan)
        rows.append(PairRow(each.name, view, weight(each, view), dsc))
    return rows


def pair_picture(evaluations: Sequence[Evaluation], pair: str, number: int, labels: Sequence[int]) -> Picture:
    """Draw one pair as every method registers it."""
    before = float(evaluations[0].values("undeformed/standard/dsc", [pair])[0])
    return draw_pair(pair_rows(evaluations, pair), pair, f"pair{number}", labels, before)


def draw_pair(
    rows: Sequence[PairRow],
    pair: str,
    name: str,
    labels: Sequence[int],
    before: float,
    scaled_by: Sequence[PairRow] = (),
) -> Picture:
    """Draw the rows of one pair; ``before`` is its overlap without registration, ``name`` unique on the page."""
    figure = pair_figure(rows, labels, None if np.isnan(before) else before, scaled_by)
    overlaps = ", ".join(f"{row.name} {row.dsc:.1f} %" for row in rows if not np.isnan(row.dsc))
    alt = (
        f"Pair {pair}: moving and fixed image, then for each method the warped image with label outlines, the "
        f"deformed grid, the residual, the Jacobian determinant, the uncertainty and the weight. {overlaps}"
    )
    return Picture(to_svg(figure, name), alt, f"Pair {pair}")


def path_picture(evaluation: Evaluation, pair: str) -> Picture | None:
    """Show a pair's continuous deformation as an animation, where the method has one."""
    view = _find(evaluation, pair).view()
    if view.path is None:
        return None
    encoded = base64.b64encode(path_animation(view.path, view.fixed)).decode()
    image = f'<img src="data:image/webp;base64,{encoded}" alt="" style="display:block;max-width:100%">'
    alt = f"Pair {pair}, {evaluation.name}: the moving image deformed step by step into the fixed one, and back"
    return Picture(image, alt, f"Pair {pair}: {evaluation.name}")


def truth_pictures(evaluations: Sequence[Evaluation], pair: str, number: int) -> list[Picture]:
    """Draw one pair's endpoint errors, and its uncertainty maps against the truth, as far as the truth is known."""
    rows = [(each.name, _find(each, pair).view()) for each in evaluations]
    pictures = []
    if rows[0][1].truth_displacement is not None:
        means = ", ".join(f"{name} {endpoint_error(view).mean():.2f} px" for name, view in rows)
        pictures.append(
            Picture(
                to_svg(endpoint_figure(rows), f"error{number}"),
                f"Pair {pair}: endpoint error maps. Means: {means}",
                f"Pair {pair}: endpoint error",
            )
        )
    if known := [row for row in rows if comparable(row[1])]:
        names = ", ".join(name for name, _ in known)
        pictures.append(
            Picture(
                to_svg(uncertainty_figure(known), f"truth{number}"),
                f"Pair {pair}: estimated uncertainty beside the truth and against it, for {names}",
                f"Pair {pair}: uncertainty",
            )
        )
    return pictures


def sparsification_picture(evaluations: Sequence[Evaluation]) -> Picture | None:
    """Draw the sparsification curves of the methods that have an uncertainty."""
    curves = {
        each.name: Curves(
            *(each.sparsification.numbers(name) for name in CURVES), ause=value(each.summary, ("ause",)).mean
        )
        for each in evaluations
        if each.sparsification is not None
    }
    curves = {name: each for name, each in curves.items() if np.isfinite(each.model).any()}
    if not curves:
        return None
    areas = ", ".join(f"{name} {each.ause:.2g}" for name, each in curves.items())
    return Picture(
        to_svg(sparsification(curves, looks(evaluations)), "sparsification"),
        f"Sparsification curves. AUSE: {areas}",
        "",
    )


def label_sparsification_picture(evaluations: Sequence[Evaluation]) -> Picture | None:
    """Draw how well each method's uncertainty ranks the errors of the labels that it predicts."""
    curves = {each.name: _label_curves(each) for each in evaluations if each.label_sparsification is not None}
    curves = {name: each for name, each in curves.items() if np.isfinite(each.model["err"]).any()}
    if not curves:
        return None
    areas = ", ".join(f"{name} {each.ause['err']:.2g}" for name, each in curves.items())
    return Picture(
        to_svg(label_sparsification(curves, looks(evaluations)), "label-sparsification"),
        f"Sparsification of the label error. AUSE of ERR: {areas}",
        "",
    )


def _label_curves(evaluation: Evaluation) -> LabelCurves:
    table = evaluation.label_sparsification
    model = {name: table.numbers(name) for name in LABEL_CURVES}
    oracle = {name: table.numbers(f"{name}_oracle") for name in LABEL_CURVES}
    ause = {name: value(evaluation.summary, ("label_sparsification", name, "ause")).mean for name in LABEL_CURVES}
    return LabelCurves(table.numbers("fraction"), model, oracle, ause)


def ranked_by(evaluations: Sequence[Evaluation]) -> dict[str, list[str]]:
    """Return, by the map that ranks the errors of the predicted labels, the methods that it ranks them of."""
    found: dict[str, list[str]] = {}
    for each in evaluations:
        if (by := (each.summary.get("label_sparsification") or {}).get("ranked_by")) is not None:
            found.setdefault(by, []).append(each.name)
    return found


def distribution_picture(evaluations: Sequence[Evaluation], reference: Evaluation) -> Picture | None:
    """Draw the Dice overlap of every pair, and its difference to the reference."""
    ids, methods = reference.ids, split_undeformed(evaluations)[1]
    label, overlap = ("label/dsc", "Dice of the predicted labels"), ("standard/dsc", "DSC, standard protocol")
    key, title = label if predict_labels(methods) else overlap
    values = {UNREGISTERED: reference.values("undeformed/standard/dsc", ids)}
    values |= {each.name: each.values(key, ids) for each in methods}
    values = {name: row for name, row in values.items() if np.isfinite(row).any()}
    if not set(values) - {UNREGISTERED}:
        return None
    medians = ", ".join(f"{name} {np.nanmedian(row):.1f} %" for name, row in values.items())
    base = reference.name if reference.name in values else None
    figure = distribution(values, looks(evaluations), f"{title} (%)", base)
    return Picture(to_svg(figure, "distribution"), f"Dice overlap of every pair. Medians: {medians}", "")


def training_pictures(runs: Sequence[Run], methods: dict[str, Look]) -> list[Picture]:
    """Draw the validation of all runs together, then every run; a run called like a method has its look."""
    names = list(dict.fromkeys(name for run in runs for name in run.validation))
    metric = next((name for wanted in ("standard/dsc", "dsc", "") for name in names if wanted in name), "")
    having = {run.name: (run.epochs, run.validation[metric]) for run in runs if _known(run.validation.get(metric))}
    pictures = []
    if len(having) > 1:
        styles = {name: methods.get(name, look(len(methods) + i)) for i, name in enumerate(having)}
        pictures.append(
            Picture(
                to_svg(validation(having, styles, f"validation {metric}"), "validation"),
                f"Validation {metric} of {', '.join(having)} over the epochs",
                "All runs",
            )
        )
    return pictures + [_training_picture(run, i) for i, run in enumerate(runs) if _panels(run)]


def _known(values: np.ndarray | None) -> bool:
    return values is not None and bool(np.isfinite(values).any())


def _panels(run: Run) -> dict[str, dict[str, np.ndarray]]:
    """Return a run's curves by panel: losses per estimator, overlap, other validation, learning rate."""
    overlap = {name: values for name, values in run.validation.items() if "dsc" in name}
    other = {f"validation, {name}": {name: row} for name, row in run.validation.items() if "dsc" not in name}
    panels = {f"{estimator}: losses": terms for estimator, terms in run.losses.items()}
    panels |= {"validation, DSC (%)": overlap, **other, "learning rate": run.learning_rate}
    known = {title: {name: row for name, row in curves.items() if _known(row)} for title, curves in panels.items()}
    return {title: curves for title, curves in known.items() if curves}


def _training_picture(run: Run, number: int) -> Picture:
    figure = training(run.epochs, run.phases, _panels(run))
    phases = " → ".join(dict.fromkeys(filter(None, run.phases)))
    alt = f"Training of {run.name}: {len(run.epochs)} epochs" + (f", phases {phases}." if phases else ".")
    return Picture(to_svg(figure, f"run{number}"), alt, run.name)
