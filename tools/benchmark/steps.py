"""What benchmarks of training steps share: random pairs, single iterations of an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Events
from torch import Tensor, nn

from common.nifti import save_image

LEARNING_RATE, SMOOTH_WEIGHT = 1e-4, 0.01
Batch = dict[str, Any]
Step = Callable[[], Any]


class Case(NamedTuple):
    """Images (batch, 1, *size), and how many pairs the loader's data set has."""

    batch: int
    size: tuple[int, ...]
    pairs: int

    @property
    def name(self) -> str:
        """As the ratios are called."""
        return f"{len(self.size)}d"

    @property
    def words(self) -> str:
        """As the page's tables have it."""
        size = f"{self.size[0]}{'²' if len(self.size) == 2 else '³'}"
        size = size if len(set(self.size)) == 1 else " x ".join(map(str, self.size))
        return f"{len(self.size)}D, {size if self.batch == 1 else f'batch {self.batch} of {size}'}"

    def __str__(self) -> str:
        return f"{self.name}, batch {self.batch} of {'x'.join(map(str, self.size))}"


CASES = (Case(8, (128, 128), 64), Case(1, (64, 64, 64), 8))


def write_pairs(case: Case, folder: Path) -> Path:
    """Write a prepared data set of random pairs with labels of two classes."""
    from common.data import prepared

    random, stacked = np.random.default_rng(0), case.size if len(case.size) == 3 else (*case.size, 1)
    pairs = []
    for number in range(case.pairs):
        files = {}
        for role in prepared.IMAGE_KEYS:
            image = random.random(stacked, dtype=np.float32)
            for key, array in ((role, image), (f"{role}_label", image > 0.5)):
                files[key] = f"images/{number}_{key}.nii.gz"
                save_image(folder / files[key], array, np.eye(4))
        pairs.append({"id": f"pair{number}", "subject": f"{number}", "slice": 0, **files})
    prepared.write(prepared.Dataset(folder, "random", len(case.size), {1: "bright"}, splits={"train": pairs}))
    return folder


def loader_of(case: Case, folder: Path, device: torch.device) -> Any:
    """Our loader over a prepared data set of random pairs."""
    from common.data import PairLoader, PreparedPairs

    return PairLoader(PreparedPairs(write_pairs(case, folder)), case.batch, shuffle=True, device=device)


def our_step(network: nn.Module, loader: Any, batch: Batch) -> Step:
    """One iteration of our trainer: a mean squared error step of ``network``, one direction."""
    from common.engines import SingleTrainer
    from common.losses import MSEObjective

    trainer = SingleTrainer(
        device=loader.device,
        max_epochs=1,
        train_data_loader=loader,
        network=network.to(loader.device),
        objective=MSEObjective(SMOOTH_WEIGHT),
        optimizer=torch.optim.Adam(network.parameters(), LEARNING_RATE),
    )
    return stepper(trainer, batch)


def plain_step(network: nn.Module, batch: Batch, device: torch.device) -> Step:
    """The same step as users of MONAI take it: its losses and SupervisedTrainer, float32.

    Args:
        network: maps (moving, fixed) to the warped image, the field that smoothness acts on, and losses of its own.
    """
    from monai.engines import SupervisedTrainer
    from monai.losses import DiffusionLoss

    smooth = DiffusionLoss()

    def loss(predicted: tuple[Tensor, ...], fixed: Tensor) -> Tensor:
        warped, field, *own = predicted
        return nn.functional.mse_loss(warped, fixed) + SMOOTH_WEIGHT * smooth(field) + sum(own)

    trainer = SupervisedTrainer(
        device=device,
        max_epochs=1,
        train_data_loader=[batch],
        network=network.to(device),
        optimizer=torch.optim.Adam(network.parameters(), LEARNING_RATE),
        loss_function=loss,
        prepare_batch=lambda data, device, non_blocking, **_: (data["moving"], data["fixed"], (data["fixed"],), {}),
        decollate=False,
    )
    return stepper(trainer, batch)


def monai_voxelmorph(spatial_dims: int) -> nn.Module:
    """MONAI's VoxelMorph with the layers of ours."""
    from monai.networks.nets import VoxelMorph, VoxelMorphUNet

    backbone = VoxelMorphUNet(spatial_dims, 2, 32, (16, *[32] * 7), (16, 16))
    return VoxelMorph(backbone, integration_steps=7, half_res=False, spatial_dims=spatial_dims)


def stepper(trainer: Any, batch: Batch) -> Step:
    """A call that is one iteration of an engine's first epoch, without its own bookkeeping between iterations."""
    trainer.state.epoch, trainer.state.epoch_length = 1, 1
    trainer.state.batch = batch
    trainer.fire_event(Events.EPOCH_STARTED)

    def step() -> Any:
        trainer.state.iteration += 1
        return trainer._iteration(trainer, dict(batch))

    return step
