"""common.engines.batch, and what a trainer makes of a loader's batch before the network sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from common.data.augmentation import RandomDeformation
from common.engines import SingleTrainer
from common.engines.batch import pair_of
from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import MSEObjective, Terms
from common.networks import VoxelMorph

Build = Callable[..., SingleTrainer]


class Seeing(MSEObjective):
    """Mean squared error that remembers its pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[Pair] = []

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: None = None) -> Terms:
        self.pairs.append(pair)
        return super().displacement_loss(pair, deformation, predicted)


def batch_of(*keys: str) -> dict[str, torch.Tensor]:
    """One row of 4 voxels for each key; the last of "fixed" and the first of "moving" are black."""
    rows = {"moving": [0, 0.5, 0, 0.5], "fixed": [0.5, 0.5, 0, 0]}
    rows |= {"moving_mask": [1, 1, 1, 0], "fixed_mask": [0, 1, 1, 1]}
    return {key: torch.tensor(rows[key]).view(1, 1, 1, 4) for key in ("moving", "fixed", *keys)}


def test_each_image_keeps_its_mask_and_swapping_swaps_them() -> None:
    pair = pair_of(batch_of("moving_mask", "fixed_mask"))
    assert pair.mask.flatten().tolist() == [0, 1, 1, 1] and pair.moving_mask.flatten().tolist() == [1, 1, 1, 0]
    assert pair.mask.dtype == torch.float32
    swapped = pair.swapped()
    assert torch.equal(swapped.mask, pair.moving_mask) and torch.equal(swapped.moving_mask, pair.mask)
    assert pair_of(batch_of()).mask is None


def test_each_image_keeps_its_label_and_swapping_swaps_them() -> None:
    batch = batch_of() | {"moving_label": torch.tensor([1]), "fixed_label": torch.tensor([2])}
    pair = pair_of(batch)
    assert (pair.moving_label, pair.fixed_label) == (1, 2)
    assert (pair.swapped().moving_label, pair.swapped().fixed_label) == (2, 1)


def test_the_foreground_narrows_a_mask() -> None:
    assert pair_of(batch_of(), foreground=True).mask.flatten().tolist() == [1, 1, 0, 1]
    both = pair_of(batch_of("moving_mask", "fixed_mask"), foreground=True)
    assert both.mask.flatten().tolist() == [0, 1, 0, 1] and both.moving_mask.flatten().tolist() == [1, 1, 0, 0]


def test_augmentation_goes_by_the_number_of_the_batch(build: Build) -> None:
    seen = {}
    for name, augmentation in (("plain", None), ("moved", RandomDeformation(3)), ("again", RandomDeformation(3))):
        objective = Seeing()
        trainer = build(objective=objective, learning_rate=0.0, augmentation=augmentation)
        trainer.run()
        seen[name] = objective.pairs
    for number, (plain, moved, again) in enumerate(zip(*seen.values(), strict=True), start=1):
        assert torch.equal(moved.fixed, RandomDeformation(3)(plain, number).fixed)
        assert torch.equal(moved.fixed, again.fixed) and not torch.equal(moved.fixed, plain.fixed)


def test_pairs_of_other_dimensions_are_refused(build: Build) -> None:
    with pytest.raises(InputError, match="pairs are 2D but the network is 3D; set spatial_dims to 2"):
        build(network=VoxelMorph(3))
