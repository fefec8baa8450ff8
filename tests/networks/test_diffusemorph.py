"""common.networks.DiffuseMorph: what its noise loss trains, its randomness, its path, besides test_architectures.py."""

from __future__ import annotations

from itertools import accumulate
from operator import mul

import pytest
import torch
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn

from common.errors import InputError
from common.interfaces import Pair
from common.losses import MSEObjective
from common.networks import DiffuseMorph


def moving_network(dims: int = 2, **options: float | str) -> DiffuseMorph:
    """A network whose score and field are not nothing, as a new one's are."""
    torch.manual_seed(0)
    network = DiffuseMorph(dims, **options)
    for weight in network.score.parameters():
        if not weight.any():  # a residual block, like the whole, starts as nothing
            nn.init.normal_(weight, std=0.05)
    nn.init.normal_(network.field.flow.weight, std=0.1)
    nn.init.constant_(network.field.flow.bias, 1.5)
    return network


def images(size: tuple[int, ...], batch: int = 1) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 1, *size), torch.rand(batch, 1, *size)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("dims", "score", "field"), [(2, 1_785_936, 629_378), (3, 4_970_056, 1_775_459)])
def test_parameters_of_the_small_variant(dims: int, score: int, field: int) -> None:
    network = DiffuseMorph(dims)
    assert (count(network.score), count(network.field)) == (score, field)
    assert dims == 3 or 4 * count(network) < 15e6  # bytes


@pytest.mark.parametrize(("variant", "groups", "divisor"), [("small", 8, 16), ("published", 32, 16)])
def test_groups_of_the_normalisation_and_the_divisor(variant: str, groups: int, divisor: int) -> None:
    with torch.device("meta"):
        network = DiffuseMorph(2, variant)
    assert {m.num_groups for m in network.modules() if isinstance(m, nn.GroupNorm)} == {groups}
    assert network.divisor == divisor


def test_parameters_of_the_published_variant() -> None:
    with torch.device("meta"):
        network = DiffuseMorph(2, "published")
    assert (count(network.score), count(network.field)) == (15_936_129, 74_736_258)
    assert network.score.attention.inputs.bias is None


@pytest.mark.parametrize("training", [True, False])
def test_it_predicts_noise_in_training_alone(training: bool) -> None:
    deformation = moving_network().train(training)(*images((31, 17), batch=2))
    assert (deformation.auxiliary is not None) == training


@pytest.mark.parametrize("size", [(32, 40), (16, 18, 9)])
def test_a_new_network_predicts_no_noise(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    deformation = DiffuseMorph(len(size), diffusion_weight=1.0)(*images(size))
    assert deformation.auxiliary["diffusion"].item() == pytest.approx(1.0, abs=0.15)  # the variance of the noise


@pytest.mark.slow
@pytest.mark.parametrize("size", [(20, 33), (16, 9, 12)])
def test_the_published_variant_takes_any_size(size: tuple[int, ...]) -> None:
    network, pair = DiffuseMorph(len(size), "published").eval(), images(size)
    with torch.no_grad():
        assert network(*pair).ddf.shape == (1, len(size), *size)


def test_the_noise_loss_trains_the_score_network_alone() -> None:
    network = moving_network()
    network(*images((32, 32))).auxiliary["diffusion"].backward()
    assert all(p.grad is None for p in network.field.parameters())
    assert all(p.grad.abs().max() > 0 for p in network.score.parameters())


def test_the_registration_trains_both_networks() -> None:
    network = moving_network()
    network(*images((32, 32))).ddf.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_the_noise_loss_is_weighted_and_joins_the_objective() -> None:
    pair, losses = Pair(*images((32, 32))), []
    for weight in (0.05, 1.0):
        network = moving_network(diffusion_weight=weight)
        torch.manual_seed(1)
        deformation = network(pair.moving, pair.fixed)
        losses.append(deformation.auxiliary["diffusion"])
    objective = MSEObjective(0.05)
    terms = objective.displacement_loss(pair, objective.observe(pair, deformation))
    assert torch.allclose(20 * losses[0], losses[1])
    assert torch.allclose(terms["loss"], terms["data"] + 0.05 * terms["smooth"] + terms["diffusion"])


def test_clean_pairs_are_registered_as_in_evaluation_and_have_no_noise_loss() -> None:
    network, pair = moving_network(clean_share=1.0), images((32, 32), batch=2)
    deformation = network(*pair)
    assert deformation.auxiliary["diffusion"] == 0
    assert torch.equal(deformation.ddf, network.eval()(*pair).ddf)


def test_the_noise_loss_is_a_mean_over_the_noisy_pairs() -> None:
    network, pair = moving_network(clean_share=0.5, diffusion_weight=1.0), images((32, 32), batch=8)
    for weight in network.score.last.parameters():
        nn.init.zeros_(weight)  # predicts no noise: the loss is the noise's variance
    losses = torch.stack([network(*pair).auxiliary["diffusion"] for _ in range(4)])
    assert torch.allclose(losses, torch.ones(4), atol=0.1)


def test_training_draws_from_the_global_generator() -> None:
    network, pair = moving_network(), images((32, 32))
    torch.manual_seed(7)
    first, other = network(*pair), network(*pair)
    torch.manual_seed(7)
    again = network(*pair)
    assert torch.equal(first.ddf, again.ddf)
    assert torch.equal(first.auxiliary["diffusion"], again.auxiliary["diffusion"])
    assert not torch.equal(first.ddf, other.ddf)


@pytest.mark.parametrize("without_gradient", [torch.no_grad, torch.inference_mode])
def test_evaluation_is_deterministic_and_draws_nothing(without_gradient: type) -> None:
    network, pair = moving_network().eval(), images((32, 32))
    state = torch.get_rng_state()
    with without_gradient():
        first = network(*pair).ddf
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, network(*pair).ddf)
    assert torch.equal(network.reverse(*pair, network(*pair)).ddf, network(*pair[::-1]).ddf)


@pytest.mark.parametrize("without_gradient", [torch.no_grad, torch.inference_mode])
def test_training_mode_without_gradients(without_gradient: type) -> None:
    network, pair = moving_network(), images((32, 32))
    with without_gradient():
        assert network(*pair).auxiliary["diffusion"].isfinite()
    network(*pair).auxiliary["diffusion"].backward()  # nothing of inference mode is left behind


def test_noise_grows_from_nearly_none_to_nearly_all() -> None:
    """Of the image's power, product of 1 - beta over the steps so far; beta linear, 1e-6 to 1e-2 in 2000 steps."""
    betas = [1e-6 + (1e-2 - 1e-6) * step / 1999 for step in range(2000)]
    expected = torch.tensor(list(accumulate((1 - beta for beta in betas), mul)), dtype=torch.float64)
    kept = DiffuseMorph().scheduler.alphas_cumprod
    assert len(kept) == 2000
    assert (kept.double() / expected - 1).abs().max() < 1e-4
    golden = {0: 0.999999, 500: 0.533911, 1000: 0.0813746, 1999: 4.38598e-5}
    assert {step: kept[step].item() for step in golden} == pytest.approx(golden, rel=1e-4)


@pytest.mark.parametrize("size", [(20, 27), (9, 16, 12)])
def test_the_path_ends_at_the_registration(size: tuple[int, ...]) -> None:
    network, pair = moving_network(len(size)), images(size, batch=2)
    path = network.path(*pair, etas=[0.0, 0.5, 1.0])
    network.eval()
    assert path.shape == (3, 2, len(size), *size)
    assert torch.equal(path[2], network(*pair).ddf)
    assert torch.equal(path, network.path(*pair, etas=[0.0, 0.5, 1.0]))
    # without a score the fixed image has no say
    assert torch.equal(path[0], network.path(pair[0], torch.rand_like(pair[1]), etas=[0.0])[0])
    assert not torch.equal(path[0], path[1])


@pytest.mark.parametrize("eta", [-0.1, 1.5, float("nan")])
def test_the_path_is_not_continued(eta: float) -> None:
    with pytest.raises(InputError, match=f"eta is {eta}: it must be between 0 and 1"):
        DiffuseMorph().path(*images((16, 16)), etas=[0.0, eta])


@pytest.mark.parametrize(("size", "patch"), [((8, 12), 4), ((4, 6), 2), ((4, 6, 8), 2)])
def test_patches_come_back_in_place(size: tuple[int, ...], patch: int) -> None:
    image, dims = torch.rand(2, 1, *size), len(size)
    patches = pixelunshuffle(image, dims, patch)
    assert patches.shape == (2, patch**dims, *[n // patch for n in size])
    first = (slice(None), slice(None), *[slice(patch)] * dims)
    assert torch.equal(patches[(slice(None), slice(None), *[0] * dims)], image[first].flatten(1))
    assert torch.equal(pixelshuffle(patches, dims, patch), image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 4}, "spatial_dims is 4"),
        ({"variant": "huge"}, "variant is 'huge'.*small, published"),
        ({"clean_share": 1.5}, "clean_share is 1.5"),
    ],
)
def test_what_there_is_not_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DiffuseMorph(**options)
