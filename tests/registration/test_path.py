"""RegistrationInference with path_steps: the way to the warped image as a series on the native grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from torch import nn

from common.engines import BatchInferer
from common.errors import InputError
from common.networks import DiffuseMorph, RegistrationNetwork, VoxelMorph
from common.registration.inference import RegistrationInference
from common.registration.pairs import PairsToRegister
from common.registration.region import Framing

AFFINE = np.array([[-1.5, 0, 0, 40], [0, 1.5, 0, -20], [0, 0, 8, 5], [0, 0, 0, 1.0]])


def network(dims: int) -> RegistrationNetwork:
    """A network that moves: its displacement depends on the score."""
    torch.manual_seed(0)
    estimator = DiffuseMorph(dims)
    nn.init.normal_(estimator.score.last.weight, std=0.3)
    nn.init.normal_(estimator.field.flow.weight, std=0.5)
    return RegistrationNetwork(estimator)


def pair(folder: Path, shape: tuple[int, ...]) -> dict[str, Path]:
    random, files = np.random.default_rng(0), {}
    for name in ("moving", "fixed"):
        files[name] = folder / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(random.uniform(10, 900, shape).astype(np.float32), AFFINE), files[name])
    return files


def register(folder: Path, shape: tuple[int, ...], dims: int, net: nn.Module, steps: int) -> RegistrationInference:
    framing = Framing(crop_size=[20] * dims if dims == 2 else "all")
    dataset = PairsToRegister(**pair(folder, shape), spatial_dims=dims, framing=framing)
    inference = RegistrationInference(
        "cpu", net, dataset, folder / "out", inferer=BatchInferer(2), path_steps=steps, picture=False
    )
    inference.run()
    return inference


@pytest.mark.parametrize(("shape", "dims"), [((30, 26), 2), ((30, 26, 3), 2), ((18, 16, 10), 3)])
def test_a_series_on_the_native_grid_that_ends_at_the_warped_image(
    shape: tuple[int, ...], dims: int, tmp_path: Path
) -> None:
    inference = register(tmp_path, shape, dims, network(dims), steps=3)
    file = tmp_path / "out" / "moving_path.nii.gz"
    assert file in inference.files
    series, warped = nib.load(file), nib.load(tmp_path / "out" / "moving_warped.nii.gz")
    values, last = series.get_fdata(), warped.get_fdata().reshape(*shape[:2], -1)
    assert series.shape == (*last.shape, 3)
    assert np.allclose(series.affine, AFFINE)
    assert series.header.get_zooms()[:3] == pytest.approx((1.5, 1.5, 8))
    assert series.header["dim"][0] == 4  # no tool takes it for a vector image
    assert np.allclose(values[..., -1], last, atol=1e-2)
    assert abs(values[..., 0] - values[..., -1]).max() > 1
    assert abs(values[..., 1] - values[..., -1]).max() > 1


def test_none_is_written_unless_asked_for(tmp_path: Path) -> None:
    inference = register(tmp_path, (30, 26), 2, network(2), steps=0)
    assert not [file for file in inference.files if "path" in file.name]


def test_the_network_stays_in_its_mode(tmp_path: Path) -> None:
    net = network(2)
    inference = register(tmp_path, (30, 26), 2, net, steps=2)
    assert isinstance(inference, SupervisedEvaluator) and net.training
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("net", "steps", "message"),
    [
        (RegistrationNetwork(VoxelMorph()), 5, "path_steps is 5, but VoxelMorph has no path"),
        (RegistrationNetwork(DiffuseMorph()), 1, "path_steps is 1; give 2 or more"),
        (RegistrationNetwork(DiffuseMorph()), -3, "path_steps is -3; give 2 or more"),
    ],
)
def test_what_has_no_path_is_refused_before_anything_is_written(
    net: nn.Module, steps: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        register(tmp_path, (30, 26), 2, net, steps)
    assert not (tmp_path / "out").exists()
