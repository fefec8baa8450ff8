"""What tests of engines share: trainers without a bundle around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from common.data import PairLoader, PreparedPairs
from common.engines import SingleTrainer
from common.losses import MSEObjective
from common.networks import VoxelMorph

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
