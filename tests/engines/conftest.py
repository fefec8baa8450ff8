"""What tests of engines share: trainers without a bundle around them, and files on an oblique grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from common.data import PairLoader, PreparedPairs
from common.data.prepared import save_image
from common.engines import SingleTrainer
from common.losses import MSEObjective
from common.networks import VoxelMorph

SPACING = (1.5, 2.0, 5.0)  # mm
SMALL = {"encoder": (4, 8), "decoder": (8, 8), "final": (8,)}


@pytest.fixture(scope="session")
def pairs(tiny_dataset: Path) -> PreparedPairs:
    """The training pairs of the tiny data set."""
    return PreparedPairs(tiny_dataset, "train")


@pytest.fixture
def build(pairs: PreparedPairs) -> Callable[..., SingleTrainer]:
    """``build(trainer_class, objective, ...)``: a trainer of a small network, by plain gradient descent."""

    def make(
        kind: type[SingleTrainer] = SingleTrainer,
        objective: nn.Module | None = None,
        network: nn.Module | None = None,
        companion: nn.Module | None = None,
        batch_size: int = 4,
        learning_rate: float = 0.1,
        **settings: Any,
    ) -> SingleTrainer:
        torch.manual_seed(0)
        network = network or VoxelMorph(**SMALL)
        networks = [network] if companion is None else [network, companion]
        parameters = [p for n in networks for p in n.parameters()]
        extra = {} if companion is None else {"companion": companion}
        fixed = {"device": "cpu", "max_epochs": 1, "precision": "float32"}
        return kind(
            train_data_loader=PairLoader(pairs, batch_size, shuffle=True),
            network=network,
            objective=objective or MSEObjective(),
            optimizer=torch.optim.SGD(parameters, lr=learning_rate),
            **{**fixed, **extra, **settings},
        )

    return make


@pytest.fixture
def affine() -> np.ndarray:
    """Of an oblique, anisotropic grid."""
    angle = 0.4
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = affine[:3, :3] @ np.diag(SPACING)
    affine[:3, 3] = [5, -7, 11]
    return affine


@pytest.fixture
def files(tmp_path: Path, affine: np.ndarray) -> dict[str, Path]:
    """A stack of 37 x 30 x 4 with intensities of its own, and a label."""
    rng = np.random.default_rng(0)
    moving = 100 + 900 * rng.random((37, 30, 4)).astype(np.float32)
    label = np.zeros((37, 30, 4), np.uint8)
    label[12:20, 10:18, 1:3] = 3
    arrays = {"moving": moving, "fixed": np.roll(moving, -2, 0) + 5, "moving_label": label}
    for name, array in arrays.items():
        save_image(tmp_path / f"{name}.nii.gz", array, affine)
    return {name: tmp_path / f"{name}.nii.gz" for name in arrays}
