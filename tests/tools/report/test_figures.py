"""What the figures show: the right grid, slice, weight and scale."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from tools.report.drawing import draw_pair, looks, path_picture, weight
from tools.report.evaluations import Evaluation, read_evaluation
from tools.report.examples import Example
from tools.report.figures import panels
from tools.report.figures.distribution import distribution
from tools.report.figures.label_sparsification import LabelCurves, label_sparsification
from tools.report.figures.pair import PairRow, _scales
from tools.report.figures.style import PALETTE, look, to_svg
from tools.report.figures.training import training
from tools.report.runs import read_runs
from tools.report.words import headline


@pytest.fixture(scope="module")
def evaluation(make: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return read_evaluation(make.evaluation(tmp_path_factory.mktemp("one") / "e", "vxm_hetero", size=16))


def example(shape: tuple[int, ...], **arrays: np.ndarray) -> Example:
    zeros = np.zeros(shape, np.float32)
    return Example(
        "pair",
        **(
            {"moving": zeros, "fixed": zeros, "warped": zeros, "ddf": np.zeros((len(shape), *shape), np.float32)}
            | arrays
        ),
    )


def test_grid_is_that_of_x_plus_u() -> None:
    axis = Figure().subplots()
    panels.deformed_grid(axis, np.stack([np.full((8, 10), 2.0), np.full((8, 10), -1.0)]))
    x = np.concatenate([line.get_xdata() for line in axis.lines])
    y = np.concatenate([line.get_ydata() for line in axis.lines])
    assert (x.min(), x.max()) == (2, 9)  # 0..7 moved by 2 along the first axis
    assert (y.min(), y.max()) == (-1, 8)
    assert axis.get_ylim() == (9.5, -0.5)  # j downwards


def test_images_are_shown_transposed() -> None:
    axis = Figure().subplots()
    panels.show(axis, np.arange(6.0).reshape(2, 3))
    assert axis.images[0].get_array().shape == (3, 2)


def test_folding_is_masked_whatever_the_colours() -> None:
    axis = Figure().subplots()
    panels.jacobian(axis, np.array([[-0.5, 0.0], [1.0, 2.0]]))
    assert axis.images[0].get_array().mask.T.tolist() == [[True, True], [False, False]]


def test_volume_is_shown_where_most_label_is() -> None:
    label = np.zeros((4, 5, 6), np.uint8)
    label[1:3, 1:4, 4] = 1
    fixed = np.broadcast_to(np.arange(6.0), (4, 5, 6)).astype(np.float32)
    ddf = np.stack([np.full((4, 5, 6), value, np.float32) for value in (1, 2, 3)])
    view = example((4, 5, 6), fixed=fixed, fixed_label=label, ddf=ddf).view()
    assert view.fixed.shape == (4, 5)
    assert (view.fixed == 4).all()
    assert view.ddf[:, 0, 0].tolist() == [1, 2]
    assert np.allclose(view.jacobian, 1)
    assert view.jacobian.shape == (3, 4)


def test_the_predicted_label_counts_where_there_is_one() -> None:
    warped, predicted = np.zeros((4, 5, 6), np.uint8), np.ones((4, 5, 6), np.uint8)
    assert example((4, 5, 6), warped_label=warped).view().predicted_label.max() == 0
    view = example((4, 5, 6), warped_label=warped, segmentation=predicted).view()
    assert view.predicted_label.shape == (4, 5) and view.predicted_label.min() == 1


def test_volume_of_one_slice() -> None:
    assert example((4, 5, 1)).view().jacobian.shape == (3, 4)


def test_jacobian_of_a_scaling() -> None:
    i, j = np.mgrid[:6, :6].astype(np.float32)
    assert np.allclose(example((6, 6), ddf=np.stack([0.5 * i, 0 * j])).view().jacobian, 1.5, atol=1e-5)


def test_weights(evaluation: Evaluation) -> None:
    mapped = example(
        (1, 1), fixed=np.full((1, 1), 0.3), uncertainty=np.full((1, 1), np.log(0.09)), uncertainty_name="log_variance"
    )
    # (0.09 / 0.09) ** 0.5 = 1
    assert weight(evaluation, mapped) == pytest.approx(1 / (1 + np.exp(-1)))
    nll = replace(evaluation, summary=evaluation.summary | {"bundle": "vxm_nll"})
    assert weight(nll, mapped) == 1  # the largest of its image
    assert weight(evaluation, replace(mapped, uncertainty_name="score")) is mapped.uncertainty
    assert weight(evaluation, replace(mapped, uncertainty=None)) is None


def test_a_path_is_animated_and_a_method_without_one_has_no_picture(evaluation: Evaluation) -> None:
    kept = evaluation.examples[0]
    assert path_picture(evaluation, kept.id) is None
    path = np.stack([kept.moving, kept.warped])
    moved = replace(evaluation, examples=[replace(kept, path=path)])
    picture = path_picture(moved, kept.id)
    assert picture is not None and picture.svg.startswith('<img src="data:image/webp;base64,')


def test_an_uncertainty_of_the_displacement_has_its_own_scale() -> None:
    views = [
        example((8, 8), uncertainty=np.full((8, 8), level), uncertainty_name=name).view()
        for level, name in ((-8.0, "log_variance"), (2.0, "displacement_log_variance"))
    ]
    rows = [PairRow(view.uncertainty_name or "", view, dsc=np.nan) for view in views]
    whole = draw_pair(rows, "p", "whole", [], np.nan)
    assert whole.svg.startswith("<svg")
    maps = _scales(rows).maps
    assert maps["log_variance"].vmax < -7 and maps["displacement_log_variance"].vmin > 1


@pytest.mark.parametrize("kind", ["label_uncertainty", "ddf_variance"])
def test_a_map_without_a_logarithm_starts_at_zero(kind: str) -> None:
    view = example((8, 8), uncertainty=np.linspace(1, 2, 64).reshape(8, 8), uncertainty_name=kind).view()
    scale = _scales([PairRow("a", view)]).maps[kind]
    assert scale.vmin == 0 and 1.9 < scale.vmax <= 2
    assert weight_of(view) is None


def weight_of(view: Example) -> np.ndarray | None:
    return weight(Evaluation(Path(), "vxm_weak", {"bundle": "vxm_weak"}, None), view)


def test_each_method_has_its_own_oracle_in_the_sparsification_of_labels() -> None:
    fraction = np.linspace(0, 1, 51)
    made = {name: LabelCurves(fraction, *({key: scale * (1 - fraction) ** power for key in ("err", "mr", "fdr")}
                                          for power in (1, 2)), dict.fromkeys(("err", "mr", "fdr"), 0.1))
            for name, scale in (("a", 1.0), ("b", 3.0))}  # fmt: skip
    figure = label_sparsification(made, {"a": look(0), "b": look(1)})
    shared, small = figure.axes[:3], figure.axes[3:5]
    assert all(np.allclose(axis.lines[1].get_ydata(), 3 * axis.lines[0].get_ydata()) for axis in shared)
    assert [axis.lines[1].get_ydata()[0] for axis in small] == [1, 3]
    assert all(np.allclose(axis.lines[1].get_ydata(), each.oracle["err"]) for axis, each in zip(small, made.values()))


def test_no_registration_takes_no_colour(evaluation: Evaluation) -> None:
    before = replace(evaluation, name="undeformed", summary=evaluation.summary | {"bundle": "undeformed"})
    assert looks([before, evaluation]) == looks([evaluation])


def test_svg_follows_the_page_and_keeps_its_ids_apart() -> None:
    figure = distribution({"a": np.array([1.0, 2.0, np.nan])}, {"a": look(0)}, "metric")
    first, second = to_svg(figure, "first"), to_svg(figure, "second")
    assert first.startswith("<svg")
    assert "var(--ink)" in first
    assert 'id="first-figure_1"' in first
    assert first == second.replace("second-", "first-")


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    distribution({"a": np.arange(3.0), "b": np.arange(3.0)}, {"a": look(0), "b": look(1)}, "metric", "a")
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_looks_differ() -> None:
    looks = [look(i) for i in range(27)]
    assert len(set(map(str, looks))) == len(looks)
    assert looks[len(PALETTE)].colour == looks[0].colour


def test_curves_stop_at_a_pause_and_phases_are_named() -> None:
    epochs = np.arange(1.0, 31)
    loss = np.where((epochs > 10) & (epochs <= 20), np.nan, 0.1)
    phases = ["displacement"] * 10 + ["companion"] * 10 + ["both"] * 10
    figure = training(epochs, phases, {"displacement: losses": {"loss": loss}})
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).sum() == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["displacement", "companion", "both"]


def test_runs_are_called_by_their_method(make: SimpleNamespace, tmp_path: Path) -> None:
    folders = [make.run(tmp_path / name / "runs" / "train") for name in make.methods]
    assert [run.name for run in read_runs(folders, make.methods)] == make.methods
    assert read_runs(folders[:1])[0].name == "train"


def test_headline_says_what_was_found(make: SimpleNamespace, tmp_path: Path) -> None:
    found = [read_evaluation(make.evaluation(tmp_path / name, name, examples=0)) for name in make.methods]
    finding, material = headline(found, found[0])
    assert finding.startswith("vxm_hetero is best on Phantom: Dice overlap 8")
    assert "points above vxm_mse (95 % interval" in finding
    assert material.startswith("3 methods, split “test” of Phantom: 12 pairs of 3 patients.")
    against_next, _ = headline(found, found[1])  # the best is the reference
    assert "above vxm_adacs" in against_next
