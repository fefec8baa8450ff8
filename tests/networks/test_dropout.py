"""Dropout of the displacement estimators: where it is, that 0 is none, and samples that all of a batch share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
from common.networks import DiffuseMorph, RegistrationNetwork, TransMorph, VoxelMorph
from common.networks.dropout import Dropout, dropouts, sampling, with_dropout

SMALL = {"encoder": (4, 8), "decoder": (8, 8), "final": (8,)}


def images(batch: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(batch, 1, 32, 32, generator=generator) for _ in range(2)]


@pytest.mark.parametrize(
    ("network", "coarsest"),
    [
        (VoxelMorph(**SMALL), 16),
        (VoxelMorph(**SMALL, variant="fast"), 16),
        (TransMorph(), 1),
        (DiffuseMorph(), 2),
    ],
    ids=["voxelmorph", "fast", "transmorph", "diffusemorph"],
)
def test_what_it_drops_is_the_output_of_the_deepest_layer(network: nn.Module, coarsest: int) -> None:
    seen: list[Tensor] = []
    dropouts(network)[0].register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    with sampling(dropouts(network.eval()), 0.5, seed=0):
        network(*images())
    before, after = seen
    kept = after != 0
    assert torch.allclose(after[kept], 2 * before[kept]) and 0.3 < kept.float().mean() < 0.7
    assert before.shape[2:] == (coarsest, coarsest)


def test_no_dropout_draws_no_random_numbers() -> None:
    network, before = VoxelMorph(**SMALL).train(), torch.get_rng_state()
    network(*images())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sample_is_the_same_for_every_image_of_a_batch() -> None:
    layer, x = Dropout(), torch.ones(3, 4, 5, 6)
    with sampling([layer], 0.4, seed=3):
        many = layer(x)
    with sampling([layer], 0.4, seed=3):
        one = layer(x[:1])
    assert torch.equal(many, one.expand_as(x))


def test_the_mean_stays() -> None:
    layer, x = Dropout(), torch.ones(1, 8, 64, 64)
    with sampling([layer], 0.25, seed=0):
        assert layer(x).mean().item() == pytest.approx(1, abs=0.02)


def test_dropout_is_set_from_outside() -> None:
    network = RegistrationNetwork(VoxelMorph())
    assert with_dropout(network, 0.25) is network
    assert [layer.p for layer in dropouts(network)] == [0.25]
    with pytest.raises(InputError, match="dropout is 0.1, but Conv2d has no dropout layer; leave it at 0"):
        with_dropout(nn.Conv2d(1, 1, 1), 0.1)
    with_dropout(nn.Conv2d(1, 1, 1), 0.0)


def test_a_chance_of_0_leaves_the_chances_and_another_must_be_one() -> None:
    network = with_dropout(VoxelMorph(**SMALL, dropout=0.3), 0.0)
    assert [layer.p for layer in dropouts(network)] == [0.3]
    for wrong in (1.0, -0.1):
        with pytest.raises(InputError, match=f"dropout is {wrong}: it must be at least 0 and below 1"):
            with_dropout(network, wrong)


def test_samples_differ_by_seed_and_end_with_the_block_even_if_it_fails() -> None:
    layer, x = Dropout().eval(), torch.ones(1, 4, 8, 8)
    found = []
    for seed in (0, 1):
        with pytest.raises(RuntimeError, match="stopped"), sampling([layer], 0.5, seed):
            found.append(layer(x))
            raise RuntimeError("stopped")
        assert torch.equal(layer(x), x)
    assert not torch.equal(*found)
