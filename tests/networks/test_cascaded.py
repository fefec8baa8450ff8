"""common.networks.Cascaded: the same network, applied several times."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, assert_same, images, lively, new, saved_and_loaded

from common.errors import InputError
from common.networks import Cascaded, RegistrationNetwork, VoxelMorph
from common.networks.cascaded import cascaded
from common.spatial import compose, flow, warp


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_pass_sees_the_image_warped_so_far(name: str, dims: int) -> None:
    """Two passes by hand: velocities are summed and integrated, displacements composed."""
    size = (24, 20) if dims == 2 else (16, 16, 16)
    (moving, fixed), single = images(size), lively(new(name, dims))
    with torch.no_grad():
        first = single(moving, fixed)
        then = single(warp(moving, first.ddf), fixed)
        both = Cascaded(single, 2).eval()(moving, fixed)
    if first.dvf is None:
        expected = compose(first.ddf, then.ddf)
    else:
        expected = flow(first.dvf + then.dvf, list(size), 7)
        assert torch.equal(both.dvf, first.dvf + then.dvf)
    assert torch.equal(both.ddf, expected) and not torch.equal(both.ddf, first.ddf)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_fit_whatever_the_number_of_passes(name: str) -> None:
    one, three = (RegistrationNetwork(lively(new(name)), cascades=count).eval() for count in (1, 3))
    assert list(one.state_dict()) == list(three.state_dict())
    three.load_state_dict({key: value + 0.01 for key, value in one.state_dict().items()}, strict=True)
    again = RegistrationNetwork(new(name), cascades=3).eval()
    again.load_state_dict(three.state_dict(), strict=True)
    image = torch.cat(images((16, 24)), dim=1)
    with torch.no_grad():
        assert torch.equal(three(image), again(image)) and not torch.equal(three(image), one(image))


def test_the_way_back_is_the_flow_of_the_opposite_velocity() -> None:
    moving, fixed = images((24, 24))
    network = Cascaded(lively(VoxelMorph()), 3).eval()
    found = network(moving, fixed)
    assert torch.equal(network.reverse(moving, fixed, found).ddf, flow(-found.dvf, [24, 24], 7))


def test_a_volume_in_training_has_the_gradients_that_it_would_have_without_saving_memory() -> None:
    moving, fixed = images((16, 16, 16))
    network = lively(VoxelMorph(3))
    gradients = []
    for mode in (True, False):  # passes are computed again on the way back only in training
        network.zero_grad()
        Cascaded(network, 2).train(mode)(moving, fixed).ddf.square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs)


def test_drawn_velocities_are_summed_and_the_way_back_is_their_opposite() -> None:
    moving, fixed = images((16, 16))
    network = Cascaded(lively(VoxelMorph(uncertainty="velocity")), 2).train()
    found = network(moving, fixed)
    assert found.drawn is not None and not torch.equal(found.drawn, found.dvf)
    assert torch.equal(found.ddf, flow(found.drawn, [16, 16], 7))
    assert torch.equal(network.reverse(moving, fixed, found).ddf, flow(-found.drawn, [16, 16], 7))


@pytest.mark.parametrize("cascades", [0, -1, 1.5, True, "3", None])
def test_a_number_of_passes_that_cannot_be_is_refused(cascades: Any) -> None:
    with pytest.raises(InputError, match="cascades is .* a whole number from 1 on"):
        cascaded(VoxelMorph(), cascades)


def test_one_pass_is_the_network_itself_and_passes_do_not_nest() -> None:
    network = VoxelMorph()
    assert cascaded(network, 1) is network
    again = cascaded(cascaded(network, 2), 3)
    assert isinstance(again, Cascaded) and again.estimator is network and again.cascades == 3


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_several_passes_are_exported_as_one_network(name: str) -> None:
    network = RegistrationNetwork(lively(new(name)), cascades=2).eval()
    assert_same(saved_and_loaded(torch.jit.script(network)), network, (31, 18), 2)
