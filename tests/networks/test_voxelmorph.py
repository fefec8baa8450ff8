"""common.networks.VoxelMorph: sizes, its start at the identity, its way back, its precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
from common.networks import VoxelMorph
from common.spatial import compose, jacobian_determinant

SIZES = pytest.mark.parametrize("size", [(32, 40), (31, 17), (6, 33), (16, 18, 9), (12, 20, 1), (2, 3, 17)])
KINDS = [{}, {"variant": "fast"}, {"diffeomorphic": False}]
KINDS += [{"diffeomorphic": False, "variant": "fast"}]
UNCERTAIN = [{"uncertainty": "displacement", **kind} for kind in KINDS]
UNCERTAIN += [{"uncertainty": "velocity", **kind} for kind in KINDS[:2]]


def moving_network(dims: int, **options: bool) -> VoxelMorph:
    """A network whose field is not small, and smooth as a trained one's: few channels decide, weakly."""
    torch.manual_seed(0)
    network = VoxelMorph(dims, **options)
    nn.init.normal_(network.flow.weight, std=0.1)
    nn.init.constant_(network.flow.bias, 1.5)
    return network


def images(size: tuple[int, ...], batch: int = 1) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 1, *size), torch.rand(batch, 1, *size)


@pytest.mark.parametrize(("dims", "count"), [(2, 109_170), (3, 327_331)])
def test_number_of_parameters(dims: int, count: int) -> None:
    assert sum(p.numel() for p in VoxelMorph(dims).parameters()) == count


@pytest.mark.parametrize("options", KINDS)
@SIZES
def test_any_size_gives_a_field_of_that_size(size: tuple[int, ...], options: dict[str, bool]) -> None:
    deformation = moving_network(len(size), **options)(*images(size, batch=2))
    assert deformation.ddf.shape == (2, len(size), *size)
    assert deformation.ddf.isfinite().all()
    diffeomorphic = options.get("diffeomorphic", True)
    assert deformation.stride == (2 if diffeomorphic else 1)
    assert (deformation.dvf is not None) == diffeomorphic
    assert deformation.regularised.shape[2:] == torch.Size(
        [max((n + 1) // 2, min(n, 2)) if diffeomorphic else n for n in size]
    )


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("size", [(32, 40), (16, 18, 9)])
def test_a_new_network_nearly_moves_nothing(size: tuple[int, ...], options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    assert VoxelMorph(len(size), **options)(*images(size)).ddf.abs().max() < 1e-3


@pytest.mark.parametrize("size", [(32, 41), (16, 19, 24)])
def test_the_way_back_is_the_inverse(size: tuple[int, ...]) -> None:
    moving, fixed = images(size)
    network = moving_network(len(size))
    with torch.no_grad():
        forward = network(moving, fixed)
        backward = network.reverse(moving, fixed, forward)
    assert forward.ddf.abs().mean() > 0.5
    inner = (slice(None), slice(None), *[slice(4, -4)] * len(size))
    assert compose(forward.ddf, backward.ddf)[inner].abs().mean() < 0.05
    assert torch.equal(backward.dvf, -forward.dvf)
    assert jacobian_determinant(forward.ddf).min() > 0


def test_without_a_velocity_the_way_back_is_the_swapped_pair() -> None:
    moving, fixed = images((20, 24))
    network = moving_network(2, diffeomorphic=False)
    forward = network(moving, fixed)
    assert torch.equal(network.reverse(moving, fixed, forward).ddf, network(fixed, moving).ddf)


@pytest.mark.parametrize("options", KINDS)
def test_each_axis_moves_in_its_own_voxels(options: dict[str, bool]) -> None:
    network = moving_network(2, **options)
    nn.init.zeros_(network.flow.weight)
    network.flow.bias.data = torch.tensor([2.0, -1.0])
    ddf = network(*images((33, 48))).ddf
    finer = torch.tensor([32 / 16, 47 / 23] if options.get("variant") == "fast" else [1.0, 1.0])
    assert torch.allclose(ddf, (finer * torch.tensor([2.0, -1.0])).view(1, 2, 1, 1).expand_as(ddf), atol=1e-4)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("size", [(32, 40), (16, 18, 9)])
def test_fields_are_float32_under_autocast_and_close(size: tuple[int, ...], options: dict[str, bool]) -> None:
    network, pair = moving_network(len(size), **options), images(size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(*pair)
        back = network.reverse(*pair, low)
    assert low.ddf.dtype == low.regularised.dtype == back.ddf.dtype == torch.float32
    assert (low.ddf - network(*pair).ddf).abs().max() < 0.02


@pytest.mark.parametrize("size", [(16, 2), (8, 2, 2)])
def test_an_axis_of_two_voxels_can_still_be_learned(size: tuple[int, ...]) -> None:
    network = VoxelMorph(len(size))
    ddf = network(*images(size)).ddf
    (gradient,) = torch.autograd.grad(ddf[:, -1].sum(), network.flow.bias)
    assert gradient[-1] != 0


def test_other_numbers_of_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="spatial_dims is 4"):
        VoxelMorph(4)


def uncertain_network(dims: int, **options: object) -> VoxelMorph:
    """A network whose uncertainty differs from place to place."""
    network = moving_network(dims, **options)
    nn.init.normal_(network.spread[-1].weight, std=0.5)
    return network


@pytest.mark.parametrize("options", UNCERTAIN)
@pytest.mark.parametrize("size", [(31, 17), (6, 33), (9, 18, 5), (12, 20, 1)])
def test_uncertainty_lies_on_the_grid_of_what_is_uncertain(size: tuple[int, ...], options: dict) -> None:
    network, pair = uncertain_network(len(size), **options), images(size, batch=2)
    deformation = network(*pair)
    of_velocity = options["uncertainty"] == "velocity"
    shape = deformation.dvf.shape if of_velocity else deformation.ddf[:, :1].shape
    for found in (deformation, network.reverse(*pair, deformation)):
        assert found.log_variance.shape == shape
        assert found.log_variance.dtype == torch.float32
        assert found.log_variance.std() > 0 or min(size) == 1
        assert found.ddf.shape == (2, len(size), *size)


@pytest.mark.parametrize(("uncertainty", "more"), [("displacement", 1_489), ("velocity", 1_526)])
def test_the_uncertainty_has_a_small_head(uncertainty: str, more: int) -> None:
    """Of 16, 8, 4 and 1 (or one a component) channels."""
    assert sum(p.numel() for p in VoxelMorph(uncertainty=uncertainty).parameters()) == 109_170 + more


@pytest.mark.parametrize("options", UNCERTAIN)
def test_uncertainty_starts_small_and_keeps_its_range(options: dict) -> None:
    torch.manual_seed(0)
    network, pair = VoxelMorph(2, **options), images((16, 20))
    assert torch.allclose(network(*pair).log_variance, torch.tensor(-4.0), atol=0.01)
    for bias, end in ((1e4, 10.0), (-1e4, -10.0)):
        nn.init.constant_(network.spread[-1].bias, bias)
        assert torch.allclose(network(*pair).log_variance, torch.tensor(end))


def test_the_velocity_is_drawn_in_training_only() -> None:
    network, pair = uncertain_network(2, uncertainty="velocity"), images((24, 28))
    torch.manual_seed(0)
    first = network(*pair)
    torch.manual_seed(0)
    again, other = network(*pair), network(*pair)
    assert torch.equal(first.ddf, again.ddf)
    assert not torch.allclose(first.ddf, other.ddf, atol=0.01)
    assert torch.equal(first.dvf, other.dvf)  # the mean
    mean = network.eval()(*pair)
    assert torch.equal(mean.ddf, network(*pair).ddf)
    assert torch.equal(mean.dvf, first.dvf) and torch.equal(mean.log_variance, first.log_variance)


def test_the_displacement_is_left_to_the_objective_to_draw() -> None:
    network, pair = uncertain_network(2, uncertainty="displacement"), images((24, 28))
    plain = moving_network(2)
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("spread")})
    assert torch.equal(network(*pair).ddf, plain(*pair).ddf)


@pytest.mark.parametrize("training", [True, False])
def test_the_way_back_of_a_velocity_is_the_opposite_of_what_was_drawn(training: bool) -> None:
    network, pair = uncertain_network(2, uncertainty="velocity").train(training), images((24, 28))
    forward = network(*pair)
    backward = network.reverse(*pair, forward)
    assert torch.equal(backward.dvf, -forward.dvf) and torch.equal(backward.log_variance, forward.log_variance)
    assert torch.equal(network.reverse(*pair, forward).ddf, backward.ddf)  # draws nothing of its own
    assert (forward.drawn is not None) == (backward.drawn is not None) == training
    if training:
        assert torch.equal(backward.drawn, -forward.drawn)


@pytest.mark.parametrize("size", [(32, 41), (16, 19, 24)])
def test_the_way_back_of_a_drawn_velocity_is_the_inverse(
    size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, pair = moving_network(len(size), uncertainty="velocity"), images(size)
    nn.init.constant_(network.spread[-1].bias, -1.0)  # a standard deviation of 0.6, fine voxels of 1.2
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)  # smooth, so that its flow has an inverse on the grid
    with torch.no_grad():
        forward = network(*pair)
        backward, mean = network.reverse(*pair, forward), network.eval()(*pair)
    inner = (slice(None), slice(None), *[slice(4, -4)] * len(size))
    assert (forward.ddf - mean.ddf)[inner].abs().mean() > 1
    assert compose(forward.ddf, backward.ddf)[inner].abs().mean() < 0.05


def test_a_drawn_velocity_has_the_predicted_variance() -> None:
    network = VoxelMorph(2, uncertainty="velocity", integration_steps=0)  # ddf of one step is the velocity itself
    nn.init.constant_(network.spread[-1].bias, -2.0)
    nn.init.zeros_(network.spread[-1].weight)
    torch.manual_seed(0)
    ddf = network(*images((65, 65))).ddf[:, :, ::2, ::2]  # where voxels of both grids meet, the coarse twice as large
    assert ddf.std().item() == pytest.approx(2 * torch.tensor(-1.0).exp().item(), rel=0.05)


@pytest.mark.parametrize("options", UNCERTAIN)
def test_uncertainty_is_float32_under_autocast(options: dict) -> None:
    network, pair = uncertain_network(2, **options).eval(), images((32, 40))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(*pair)
    assert low.log_variance.dtype == low.ddf.dtype == torch.float32
    assert (low.log_variance - network(*pair).log_variance).abs().max() < 0.1


@pytest.mark.parametrize("options", UNCERTAIN)
def test_every_weight_of_an_uncertain_network_is_trained(options: dict) -> None:
    network = uncertain_network(2, **options)
    deformation = network(*images((32, 32)))
    (deformation.ddf.square().sum() + deformation.log_variance.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.parametrize("options", [{"uncertainty": "both"}, {"uncertainty": "velocity", "diffeomorphic": False}])
def test_an_unknown_uncertainty_is_refused(options: dict) -> None:
    with pytest.raises(InputError, match=f"uncertainty is '{options['uncertainty']}': it must be null, displacement"):
        VoxelMorph(**options)


@pytest.mark.parametrize("dims", [2, 3])
def test_he_weights_keep_the_size_of_activations(dims: int) -> None:
    torch.manual_seed(0)
    spread = {}
    for he_init in (False, True):
        network = VoxelMorph(dims, he_init=he_init)
        image = torch.randn(1, 1, *[32] * dims)
        spread[he_init] = network(image, image.flip(2)).features.std().item()
    assert 0.3 < spread[True] < 3
    assert spread[False] < 0.1 * spread[True]


def test_a_variant_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="variant is 'small': VoxelMorph has published, fast"):
        VoxelMorph(variant="small")


@pytest.mark.parametrize("dims", [2, 3])
def test_a_width_multiplies_all_channels(dims: int) -> None:
    one, two = (dict(VoxelMorph(dims, width=width).named_parameters()) for width in (1, 2))
    assert one.keys() == two.keys()
    for name in (name for name in one if name.startswith("backbone") and name.endswith("bias")):
        assert len(two[name]) == 2 * len(one[name]), name


@pytest.mark.parametrize("width", [0, -2, 1.5, True, "2"])
def test_a_width_that_cannot_be_is_refused(width: object) -> None:
    with pytest.raises(InputError, match="width is .* a whole number from 1 on"):
        VoxelMorph(width=width)
