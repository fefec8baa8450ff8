"""tools.benchmark.band: predicted deviations against errors that are known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from common.data.phantom import Subject, make_subject
from common.errors import InputError
from common.fields import to_physical
from tools.benchmark import __main__ as benchmark
from tools.benchmark import band
from tools.cine.curves import Band
from tools.cine.motion import UNCERTAINTY, Motion
from tools.cine.noise import correlated_noise

SIZE, SPREAD = (48, 48), 0.3
ROUNDING = 5e-4  # mm^2, of sums over about 100 pixels of 16 mm^2 in float32


def phantom(number: int) -> Subject:
    return make_subject("mr", SIZE, 0, number)[0]


def followed(subject: Subject, error: np.ndarray | float = 0.0) -> Motion:
    """The true motion plus an error (2, i, j) in mm, with a deviation of ``SPREAD`` mm."""
    affine = subject.grid.affine
    wrong = to_physical((subject.ddf + error / subject.grid.spacing[0])[..., None], affine)
    spread = np.full((2, *SIZE, 1), SPREAD)
    spread[0] = 0
    vectors = np.stack([np.zeros_like(wrong), wrong])
    return Motion(vectors, affine, 2, 0, np.ones((*SIZE, 1), bool), {UNCERTAINTY: spread})


def of_truth(draws: int = 4, scale: float = 1.0) -> list[band.Judged]:
    return [band.judge(s, followed(s), Band(draws=draws, scale=scale)) for s in map(phantom, range(2))]


def test_the_truth_has_no_error_and_lies_within() -> None:
    for each in of_truth():
        assert not each.error.any() and each.heart.any()
        for error, deviation in each.curves.values():
            assert error == pytest.approx(0, abs=ROUNDING) and deviation > 1e-3
    first, second, _, *rows = band.report(of_truth())
    assert first.endswith(f"RMS error 0.000, RMS predicted SD {SPREAD:.3f}") and second.endswith(" nan mm")
    errors = [float(number) for row in rows for number in row[24:].split()[:2]]
    assert errors == pytest.approx([0] * 8, abs=ROUNDING) and all(row.endswith(" 100 %") for row in rows)


def test_twice_the_scale_is_twice_the_deviation() -> None:
    for one, two in zip(of_truth(8), of_truth(8, 2.0), strict=True):
        assert np.array_equal(two.deviation, 2 * one.deviation)
        for name, sizes in (("size_3", 0.05), ("size_2", 0.2)):
            assert two.curves[name][1] == pytest.approx(2 * one.curves[name][1], rel=sizes)


def test_an_error_is_measured_in_mm_where_the_heart_is() -> None:
    subject = phantom(0)
    error = np.where(np.isin(subject.fixed_label, (2, 3)), np.array([3.0, 4.0])[:, None, None], 50.0)
    found = band.judge(subject, followed(subject, error), Band(draws=2))
    assert band.root_mean_square([found.error[:, found.heart]]) == pytest.approx(np.sqrt(12.5), rel=1e-4)
    assert all(value[0] != 0 for value in found.curves.values())


@pytest.mark.parametrize(("length", "step"), [(6.0, 1.5), (9.0, 4.0)])
def test_the_length_of_a_known_correlation_is_found(length: float, step: float) -> None:
    blank = of_truth(2)[0]
    errors = correlated_noise(np.random.default_rng(0), 400, SIZE, (step, step), length).reshape(200, 2, *SIZE)
    judged = [replace(blank, error=error, step=step) for error in errors]
    assert band.correlation_length(judged) == pytest.approx(length, rel=0.07)
    assert np.isnan(band.correlation_length([replace(blank, error=np.ones((2, *SIZE)))]))


def test_it_follows_phantoms_by_a_bundle(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(band, "SIZE", (64, 64))
    printed = []
    for scale in ("1", "2"):
        benchmark.main(["band", "--subjects", "2", "--seed", "3", "--deviation-scale", scale])
        printed.append(capsys.readouterr().out.splitlines())
    assert printed[0][0] == "vxm_hetero_disp, predicted SD times 1, 2 phantoms of seed 3:"
    (error, one), (same, two) = ([float(x) for x in re.findall(r"\d+\.\d+", each[1])] for each in printed)
    assert error == same > 0 and two == pytest.approx(2 * one, abs=0.002)
    assert len(printed[0]) == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--subjects", "1"], "--subjects 1: give at least 2"),
        (["--deviation-scale", "nan"], "--deviation-scale nan: give a number above 0"),
        (["--bundle", "vxm_mse"], "--bundle vxm_mse: predicts no uncertainty of the displacement"),
        (["--bundle", "vxm_predictive"], "--bundle vxm_predictive: registers volumes"),
        (["--bundle", "vxm_l2"], "vxm_l2: no bundle"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        benchmark.main(["band", *words])
    assert "\n" not in str(raised.value)
