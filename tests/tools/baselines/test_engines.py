"""Each engine finds a known motion, in our convention, and its own warped image is what our warp makes of its field."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from common.spatial import warp as torch_warp
from tools.baselines import NAMES
from tools.baselines.worker import ONE_THREAD

HERE = Path(__file__).parent
SLOW = ("elastix",)  # itk alone takes 10 s to load it
ENGINES = [pytest.param(each, marks=[pytest.mark.slow] * (each in SLOW)) for each in NAMES if each != "undeformed"]
CASES = [f"{kind} {dims}" for kind in ("translation", "smooth") for dims in ("2D", "3D")]
Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module", params=ENGINES)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """What the engine makes of all cases; see known_motions.py."""
    path = tmp_path_factory.mktemp(request.param) / "found.npz"
    command = [sys.executable, str(HERE / "known_motions.py"), request.param, str(path)]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(HERE.parents[2])}
    done = subprocess.run(command, env=environment, cwd=path.parent, capture_output=True, text=True, check=False)
    if done.stderr.startswith("absent:"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert [each.name for each in path.parent.iterdir()] == ["found.npz"]  # engines leave nothing behind
    return dict(np.load(path))


def warp(image: NDArray, ddf: NDArray) -> NDArray[np.float32]:
    tensors = [torch.from_numpy(np.asarray(each, np.float32)) for each in (image, ddf)]
    return torch_warp(tensors[0][None, None], tensors[1][None])[0, 0].numpy()


def mean_error(ddf: NDArray, truth: NDArray) -> float:
    inside = (slice(None), *[slice(8, -8)] * (ddf.ndim - 1))
    return float(np.linalg.norm((ddf - truth)[inside], axis=0).mean())


@pytest.mark.parametrize("case", CASES)
def test_a_known_motion(found: Arrays, case: str) -> None:
    moving, truth, ddf = (found[f"{case}/{key}"] for key in ("moving", "truth", "ddf"))
    assert ddf.dtype == np.float32 and ddf.shape == truth.shape
    assert mean_error(ddf, truth) < 0.5 * mean_error(0 * truth, truth)
    before, after = (np.mean((warp(moving, field) - warp(moving, truth)) ** 2) for field in (0 * truth, ddf))
    assert after < 0.1 * before


@pytest.mark.parametrize("case", CASES)
def test_our_warp_is_the_engines(found: Arrays, case: str) -> None:
    moving, warped, ddf = (found[f"{case}/{key}"] for key in ("moving", "warped", "ddf"))
    assert np.abs(warped - moving).max() > 0.05  # something moved
    np.testing.assert_allclose(warp(moving, ddf), warped, atol=2e-4)


def test_undeformed_moves_nothing() -> None:
    engine = import_module("tools.baselines.undeformed")
    image = np.ones((5, 6, 7), np.float32)
    assert not engine.register(image, image, engine.Settings()).any()
