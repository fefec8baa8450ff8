"""What weights mean and begin as: the order of images, first values, and outputs for known weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from common.networks import DiffuseMorph, LabelRefiner, ScoringEstimator, VarianceEstimator, VoxelMorph
from common.networks.diffusemorph import DeformationNetwork
from common.networks.score_unet import Attention, ScoreUNet
from common.networks.unet import flow_head
from common.spatial import integrate, resize_field


def known(network: nn.Module) -> nn.Module:
    """``network`` with weights that are written down here, of about the size of trained ones."""
    for number, weight in enumerate(network.parameters()):
        wave = torch.sin(torch.arange(weight.numel(), dtype=torch.float64) ** 2 + number)
        scale = 1.0 if weight.dim() == 1 else (2 / weight[0].numel()) ** 0.5
        weight.data = (scale * wave).view(weight.shape).float()
    return network.eval()


def waves(channels: int, size: tuple[int, int] = (16, 24)) -> Tensor:
    count = channels * size[0] * size[1]
    return torch.cos(torch.arange(count, dtype=torch.float64) ** 2 / 7).view(1, channels, *size).float()


SEEN = {
    "voxelmorph": (VoxelMorph, lambda n, a, b: n(a, b).ddf, lambda n: n.backbone.encoder[0]),
    "variance": (VarianceEstimator, lambda n, a, b: n(a, b), lambda n: n.backbone.encoder[0]),
    "scoring": (lambda: ScoringEstimator(inputs=2), lambda n, a, b: n(a, b), lambda n: n.backbone.encoder[0]),
}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("blind", [0, 1])
def test_the_first_image_meets_the_first_weights(name: str, blind: int) -> None:
    build, call, first = SEEN[name]
    network = known(build())
    first(network).weight.data[:, blind] = 0
    images = [torch.rand(1, 1, 16, 24, requires_grad=True) for _ in range(2)]
    gradients = torch.autograd.grad(call(network, *images).square().sum(), images)
    assert [gradient.abs().max() > 0 for gradient in gradients] == [number != blind for number in range(2)]


def test_diffusemorph_shows_its_networks_moving_fixed_noisy_and_moving_score() -> None:
    network, (moving, fixed) = known(DiffuseMorph(2)), torch.rand(2, 1, 1, 16, 32)
    seen: list[Tensor] = []
    for part in (network.score, network.field):
        part.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs, output]))
    ddf = network(moving, fixed).ddf
    images, steps, score, of_field, field = seen
    assert torch.equal(images, torch.cat([moving, fixed, fixed], dim=1)) and steps.tolist() == [0]
    assert torch.equal(of_field, torch.cat([moving, score], dim=1)) and torch.equal(field, ddf)


def test_training_shows_diffusemorph_the_noise_of_the_step_that_it_says() -> None:
    network, fixed = known(DiffuseMorph(2, clean_share=0.3)).train(), torch.rand(64, 1, 16, 16)
    seen: list[Tensor] = []
    network.score.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs, output]))
    torch.manual_seed(0)
    loss = network(fixed, fixed).auxiliary["diffusion"]
    images, steps, score = seen
    clean = (images[:, 2:] == fixed).flatten(1).all(1)
    assert 8 < clean.sum() < 32 and (steps[clean] == 0).all()
    assert steps[~clean].max() > 1800 and steps[~clean].min() < 200 and len(set(steps[~clean].tolist())) > 30
    kept = network.scheduler.alphas_cumprod[steps].view(-1, 1, 1, 1)
    noise = ((images[:, 2:] - kept.sqrt() * fixed) / (1 - kept).sqrt())[~clean]
    assert noise.mean().item() == pytest.approx(0, abs=0.05) and noise.std().item() == pytest.approx(1, abs=0.05)
    assert loss.item() == pytest.approx(0.05 * (score[~clean] - noise).square().mean().item(), rel=1e-3)


def test_diffusemorph_weighs_its_noise_as_adacs_does_and_shows_no_clean_pairs() -> None:
    network, images = DiffuseMorph(2), torch.rand(64, 1, 16, 16)
    seen: list[Tensor] = []
    network.score.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    loss = network(images, images).auxiliary["diffusion"]
    assert not network.score(seen[0], torch.arange(64)).any()
    assert loss.item() == pytest.approx(0.05, abs=0.002)  # of noise of variance 1, predicted as 0
    assert not (seen[0][:, 2:] == images).flatten(1).all(1).any()


def test_attention_is_that_of_one_head() -> None:
    attention, x = known(Attention(8, 2)), waves(8, (3, 4))
    tokens = attention.norm(x).flatten(2)[0].T
    queries, keys, values = attention.inputs(tokens).split(8, dim=1)
    shares = torch.softmax(queries @ keys.T / 8**0.5, dim=1)
    expected = x + attention.output(shares @ values).T.reshape(x.shape)
    torch.testing.assert_close(attention(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_head_begins_with_normal_weights_of_1e_5_and_no_bias(dims: int) -> None:
    network = VoxelMorph(dims, uncertainty="velocity")
    for head in (flow_head(dims, 64), network.flow, network.spread[-1]):
        spread, count = head.weight.std().item(), head.weight.numel()
        assert spread == pytest.approx(1e-5, rel=4 / (2 * count) ** 0.5)  # four standard errors
    assert not network.flow.bias.any() and (network.spread[-1].bias == -4).all()


def test_he_weights_are_normal_by_the_inputs_of_their_layer_and_have_no_bias() -> None:
    torch.manual_seed(0)
    convolutions = [m for m in VoxelMorph(2, he_init=True).backbone.modules() if isinstance(m, nn.Conv2d)]
    for convolution in convolutions:
        variance = 2 / (1 + 0.2**2) / convolution.weight[0].numel()
        assert convolution.weight.std().item() == pytest.approx(variance**0.5, rel=0.15)
        assert not convolution.bias.any()
    last = convolutions[-3].weight.flatten()
    assert (last / last.std()).pow(4).mean().item() == pytest.approx(3, abs=0.3)  # uniform: 1.8


@pytest.mark.parametrize("steps", [None, 2])
def test_a_velocity_is_integrated_in_seven_steps_or_as_many_as_told(steps: int | None) -> None:
    network = known(VoxelMorph(2) if steps is None else VoxelMorph(2, integration_steps=steps))
    found = network(waves(1), waves(1).flip(2))
    fields = {n: resize_field(integrate(found.dvf, n), [16, 24]) for n in (2, 4, 6, 7, 8)}
    assert [n for n, field in fields.items() if torch.equal(found.ddf, field)] == [steps or 7]


# a network, its inputs, and of its output: mean, standard deviation, values at the start of each quarter
GOLDEN: dict[str, tuple[nn.Module, list[Tensor], list[float]]] = {
    "variance": (
        VarianceEstimator(),
        [waves(1), waves(1).flip(2)],
        [-1.05277, 0.277259, -1.24889, -1.61388, -1.58741, -1.68253],
    ),
    "scoring": (ScoringEstimator(), [waves(1)], [0.260825, 0.0509771, 0.213415, 0.154623, 0.140235, 0.142639]),
    "spread": (
        VoxelMorph(2, uncertainty="velocity").spread,
        [waves(16)],
        [-0.652489, 0.432342, -1.37007, -1.24861, -0.427562, -0.583267],
    ),
    "score": (
        ScoreUNet(2, 3, (16, 32), groups=8),
        [waves(3), torch.tensor([700])],
        [0.712897, 0.311701, 1.14732, 0.661261, 0.533972, 0.605604],
    ),
    "field": (
        DeformationNetwork(2, channels=(8, 16, 24)),
        [waves(2)],
        [-1.22536, 0.397426, -1.18819, -1.10068, -0.763581, -1.13764],
    ),
    "refiner": (
        LabelRefiner(2, 3),
        [waves(16), torch.softmax(8 * waves(3), 1)],
        [0.0407163, 0.753121, 0.982066, 0.00509753, -0.681944, -0.793193],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_known_weights_give_known_values(name: str) -> None:
    """A file of weights goes on meaning the same: slopes, norms, embeddings and the order of layers."""
    network, inputs, expected = GOLDEN[name]
    with torch.no_grad():
        found = known(network)(*inputs).flatten()
    values = [found.mean().item(), found.std().item(), *found[:: len(found) // 4][:4].tolist()]
    assert values == pytest.approx(expected, rel=1e-4, abs=1e-5)
