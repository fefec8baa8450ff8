from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ring_cine import SCALES, centred, ring
from scipy.special import ive

from common.errors import InputError
from common.fields import to_physical
from tools.cine.curves import Band, measure
from tools.cine.motion import Motion
from tools.cine.noise import correlated_noise

Make = Callable[..., Motion]


def test_sizes_and_strains_of_a_known_contraction(contraction: Make) -> None:
    label = ring(96, 1)[1][..., None]
    curves = measure(contraction(), label, wall=2, cavity=3)
    scales = np.array(SCALES)
    for value in (2, 3):
        area = (label == value).sum() * 1.5**2
        np.testing.assert_allclose(curves.values[f"size_{value}"], area * scales**2, rtol=0.01)
    for name in ("radial", "circumferential"):
        np.testing.assert_allclose(curves.values[name], (scales**2 - 1) / 2, rtol=0.01, atol=1e-6)
    assert curves.labels == (2, 3) and curves.strains == ["radial", "circumferential"]
    assert not curves.deviations and not curves.solid


def test_radial_and_circumferential_are_told_apart_about_the_cavity(contraction: Make) -> None:
    # a wall that keeps its area, r^2 = R^2 - c in voxels: it shortens along the ring and thickens across it
    c, motion, label = 100.0, contraction(96, (1, 1)), ring(96, 1)[1][..., None]
    at = centred(96)
    squared = (at**2).sum(0)
    motion.vectors[1] = to_physical((at * (np.sqrt(1 + c / squared) - 1))[..., None], motion.affine)
    radius = np.linspace(0.15 * 96, 0.28 * 96, 10_001)
    ratio = (radius**2 - c) / radius**2
    for name, values in (("radial", (1 / ratio - 1) / 2), ("circumferential", (ratio - 1) / 2)):
        expected = np.average(values, weights=radius)
        assert measure(motion, label, 2, 3).values[name][1] == pytest.approx(expected, rel=0.02)
        assert measure(motion, label, 2).values[name][1] == pytest.approx(expected, rel=0.02)


def test_a_stack_has_volumes_and_a_slice_areas(contraction: Make) -> None:
    motion, label = contraction(), ring(96, 1)[1][..., None]
    stack = replace(motion, vectors=np.repeat(motion.vectors, 3, axis=3), seen=np.repeat(motion.seen, 3, axis=2))
    volumes, areas = measure(stack, np.repeat(label, 3, axis=2)), measure(motion, label)
    assert volumes.solid and not areas.solid
    np.testing.assert_allclose(volumes.values["size_3"], 3 * 8 * areas.values["size_3"], rtol=1e-6)


def disk_and_ring(size: int, radius: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    distance = np.hypot(*centred(size)) * 1.5
    return (distance < radius).astype(int)[..., None], (abs(distance - radius) < width / 2).astype(int)[..., None]


@pytest.mark.parametrize("length", [8.0, 20.0, 60.0])
def test_the_band_of_an_area_is_the_one_in_closed_form(contraction: Make, length: float) -> None:
    radius, spread = 25.0, 0.3
    disk, _ = disk_and_ring(64, radius, 1)
    motion = contraction(64, (1, 1), spread)
    curves = measure(motion, disk, band=Band(draws=300, length=length, seed=1))
    expected = 2 * np.pi * radius * spread * np.sqrt(ive(1, (radius / length) ** 2))
    assert curves.deviations["size_1"] == pytest.approx([0, expected], rel=0.12)  # of 300 draws: 4 % one sigma


def test_the_band_of_a_strain_is_the_one_in_closed_form(contraction: Make) -> None:
    radius, spread, length = 28.0, 0.2, 15.0
    _, thin = disk_and_ring(64, radius, 3)
    motion = contraction(64, (1, 1), spread)
    curves = measure(motion, thin, wall=1, band=Band(draws=200, length=length, seed=2))
    expected = spread / radius * np.sqrt(ive(1, (radius / length) ** 2))
    assert curves.deviations["circumferential"] == pytest.approx([0, expected], rel=0.15)
    # radial: the covariance of d/dr at two places of the ring, of which the radial direction is c = cos(angle) alike
    c, k = np.cos(np.linspace(0, 2 * np.pi, 4001)[1:]), (radius / length) ** 2
    variance = (c * (c + k * (1 - c) ** 2) * np.exp(-k * (1 - c))).mean() * (spread / length) ** 2
    assert curves.deviations["radial"] == pytest.approx([0, np.sqrt(variance)], rel=0.15)


def test_the_band_grows_with_the_uncertainty_and_its_scale(contraction: Make) -> None:
    label = ring(48, 1)[1][..., None]
    found = {}
    for spread, scale in ((0.0, 1), (0.1, 1), (0.1, 2), (0.2, 1)):
        curves = measure(contraction(48, (1, 0.9), spread), label, band=Band(24, 15, scale))
        found[spread, scale] = curves.deviations["size_3"][1]
    assert found[0.0, 1] == pytest.approx(0, abs=1e-9)
    assert found[0.2, 1] == pytest.approx(2 * found[0.1, 1], rel=0.1)
    assert found[0.1, 2] == pytest.approx(found[0.2, 1], rel=1e-4)
    assert not measure(contraction(48, (1, 0.9)), label, band=Band()).deviations


@pytest.mark.parametrize("spacing", [(1.5, 1.5), (1.0, 2.5)])
def test_noise_correlates_as_stated(spacing: tuple[float, float]) -> None:
    length = 6.0
    noise = correlated_noise(np.random.default_rng(0), 400, (24, 20), spacing, length)
    assert noise.shape == (400, 24, 20)
    assert noise.var() == pytest.approx(1, abs=0.05)
    for axis, step in ((1, 2), (2, 3), (1, 10)):
        moved = np.roll(noise, -step, axis=axis)
        kept = [slice(None)] * 3
        kept[axis] = slice(0, noise.shape[axis] - step)
        found = (noise * moved)[tuple(kept)].mean()
        assert found == pytest.approx(np.exp(-((step * spacing[axis - 1]) ** 2) / (2 * length**2)), abs=0.05)


def test_opposite_faces_of_the_noise_are_strangers_and_a_slice_has_noise() -> None:
    noise = correlated_noise(np.random.default_rng(0), 2000, (12, 1, 4), (1, 8, 1), 3.0)
    assert abs((noise[:, 0] * noise[:, -1]).mean()) < 0.08
    assert noise.var() == pytest.approx(1, abs=0.05)


def test_what_cannot_be_measured_is_said(contraction: Make) -> None:
    label = ring(64, 1)[1][..., None]
    with pytest.raises(InputError, match=r"label 5 is not in .* \[2, 3\]"):
        measure(contraction(64), label, wall=5)
    blind = contraction(64)
    blind.seen[:24] = False
    with pytest.raises(InputError, match="frame 0: labelled structures reach beyond .*--center"):
        measure(blind, label)
