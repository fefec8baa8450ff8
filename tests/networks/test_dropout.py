"""Dropout of the displacement estimators: where it is, that 0 is none, and samples that repeat themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
from common.networks import DiffuseMorph, RegistrationNetwork, TransMorph, VoxelMorph
from common.networks.dropout import Dropout, dropouts, sampling, with_dropout

SMALL = {"encoder": (4, 8), "decoder": (8, 8), "final": (8,)}
ESTIMATORS = pytest.mark.parametrize(
    "build",
    [
        partial(VoxelMorph, **SMALL),
        partial(VoxelMorph, **SMALL, half_resolution_decoder=True),
        TransMorph,
        DiffuseMorph,
    ],
    ids=["voxelmorph", "half_resolution", "transmorph", "diffusemorph"],
)
Build = Callable[..., nn.Module]


def moving_network(build: Build, **settings: float) -> nn.Module:
    torch.manual_seed(0)
    network = build(2, **settings)
    flow = network.field.flow if isinstance(network, DiffuseMorph) else network.flow
    nn.init.normal_(flow.weight, std=0.5)
    return network


def images(batch: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(batch, 1, 32, 32, generator=generator) for _ in range(2)]


@ESTIMATORS
def test_every_estimator_has_one_layer_without_weights(build: Build) -> None:
    plain, dropping = moving_network(build), moving_network(build, dropout=0.3)
    assert [layer.p for layer in dropouts(dropping)] == [0.3] and len(dropouts(plain)) == 1
    assert plain.state_dict().keys() == dropping.state_dict().keys()


@ESTIMATORS
def test_it_drops_in_training_alone(build: Build) -> None:
    plain, dropping = (moving_network(build, dropout=p).eval() for p in (0.0, 0.5))
    assert torch.equal(plain(*images()).ddf, dropping(*images()).ddf)
    first, second = (dropping.train(), [dropping(*images()).ddf for _ in range(2)])[1]
    assert not torch.equal(first, second)


@ESTIMATORS
def test_what_it_drops_is_the_output_of_the_deepest_layer(build: Build) -> None:
    network, seen = moving_network(build, dropout=0.5).eval(), []
    dropouts(network)[0].register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    with sampling(dropouts(network), 0.5, seed=0):
        network(*images())
    before, after = seen
    kept = after != 0
    assert torch.allclose(after[kept], 2 * before[kept]) and 0.3 < kept.float().mean() < 0.7
    coarsest = {"VoxelMorph": 16, "TransMorph": 1, "DiffuseMorph": 2}[type(network).__name__]
    assert before.shape[2:] == (coarsest, coarsest)


def test_no_dropout_draws_no_random_numbers() -> None:
    network = moving_network(partial(VoxelMorph, **SMALL)).train()
    before = torch.get_rng_state()
    network(*images())
    assert torch.equal(torch.get_rng_state(), before)


@ESTIMATORS
def test_a_sample_repeats_itself_and_leaves_the_random_state(build: Build) -> None:
    network, before = moving_network(build).eval(), torch.get_rng_state()

    def sample(seed: int) -> Tensor:
        with sampling(dropouts(network), 0.3, seed):
            return network(*images()).ddf

    assert torch.equal(sample(0), sample(0)) and not torch.equal(sample(0), sample(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(sample(0), network(*images()).ddf)
    assert torch.equal(network(*images()).ddf, network(*images()).ddf)


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


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5, "much", True])
@ESTIMATORS
def test_other_chances_are_refused_in_one_line(build: Build, dropout: object) -> None:
    with pytest.raises(InputError, match=f"^dropout is {dropout!r}: it must be at least 0 and below 1\\.$"):
        build(2, dropout=dropout)


def test_dropout_is_set_from_outside() -> None:
    network = RegistrationNetwork(VoxelMorph())
    assert with_dropout(network, 0.25) is network
    assert [layer.p for layer in dropouts(network)] == [0.25]
    with pytest.raises(InputError, match="dropout is 0.1, but Conv2d has no dropout layer; leave it at 0"):
        with_dropout(nn.Conv2d(1, 1, 1), 0.1)
    with_dropout(nn.Conv2d(1, 1, 1), 0.0)
