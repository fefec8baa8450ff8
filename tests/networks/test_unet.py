"""common.networks.unet: VoxelMorph's layers, any size, and the shortcut through the upsampled image."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import InputError
from common.networks.unet import UNet, activate, channels_last, is_tiny

SIZES = pytest.mark.parametrize("size", [(32, 48), (33, 17), (5, 40), (16, 32, 16), (9, 20, 1), (3, 18, 7)])
HALF = pytest.mark.parametrize("half", [False, True])


def with_upsampling(network: UNet, image: Tensor) -> Tensor:
    """The textbook forward: upsample, concatenate, convolve; ``image`` divides by 16."""
    skips, x = [], image
    pool = F.max_pool2d if image.dim() == 4 else F.max_pool3d
    for convolution in network.encoder:
        skips.append(activate(convolution(x)))
        x = pool(skips[-1], 2)
    for level, convolution in enumerate(network.decoder):
        x = activate(convolution(x))
        if level < 3 or not network.half_resolution:
            x = torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1)
    for convolution in network.final:
        x = activate(convolution(x))
    return x


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@HALF
@SIZES
def test_any_size_gives_features_of_that_size(size: tuple[int, ...], half: bool) -> None:
    network = UNet(len(size), half_resolution=half)
    features = network(torch.rand(1, 2, *size))
    assert features.shape == (1, 16, *[(n + 1) // 2 if half else n for n in size])


@HALF
@pytest.mark.parametrize("size", [(32, 48), (16, 32, 16)])
def test_output_and_gradients_equal_those_with_upsampling(size: tuple[int, ...], half: bool) -> None:
    torch.manual_seed(0)
    network, image = UNet(len(size), half_resolution=half), torch.rand(2, 2, *size)
    outputs = [network(image), with_upsampling(network, image)]
    gradients = [torch.autograd.grad(output.square().sum(), list(network.parameters())) for output in outputs]
    assert relative(*outputs) < 1e-5
    assert max(map(relative, *gradients)) < 1e-4


def test_padding_does_not_reach_what_does_not_need_it() -> None:
    torch.manual_seed(0)
    network, image = UNet(2), torch.rand(1, 2, 32, 40)
    padded = F.pad(image, [0, 8])
    assert relative(network(image), network(padded)[..., :40]) < 1e-6


def test_layers_are_those_of_monai() -> None:
    from monai.networks.nets import VoxelMorphUNet

    for dims, size in ((2, (32, 48)), (3, (16, 32, 16))):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = VoxelMorphUNet(dims, 2, 32, (16, *[32] * 7), (16, 16))
        ours, flow = UNet(dims), (nn.Conv2d, nn.Conv3d)[dims - 2](16, dims, 3, padding=1)
        convolutions = [m for m in theirs.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
        mine = [*ours.encoder, *ours.decoder, *ours.final, flow]
        assert [tuple(m.weight.shape) for m in mine] == [tuple(m.weight.shape) for m in in_order(theirs, convolutions)]
        for module, other in zip(mine, in_order(theirs, convolutions)):
            skip = module.in_channels - 32  # MONAI concatenates the skip first, VoxelMorph and we last
            joined = module in [*ours.decoder[1:], ours.final[0]]
            module.load_state_dict(other.state_dict())
            module.weight.data = module.weight.data.roll(-skip, dims=1) if joined else module.weight.data
        image = torch.rand(1, 2, *size)
        assert relative(flow(ours(image)), theirs(image)) < 1e-5


def in_order(network: nn.Module, convolutions: list[nn.Module]) -> list[nn.Module]:
    """The convolutions as the forward pass meets them."""
    met: list[nn.Module] = []
    hooks = [c.register_forward_hook(lambda module, *_: met.append(module)) for c in convolutions]
    dims = convolutions[0].weight.dim() - 2
    network(torch.rand(1, 2, *[16] * dims))
    for hook in hooks:
        hook.remove()
    return met


def test_fixed_tables_are_not_part_of_the_weights() -> None:
    assert all(name.endswith(("weight", "bias")) for name in UNet(2).state_dict())


@pytest.mark.parametrize("spatial_dims", [1, 4])
def test_other_numbers_of_dimensions_are_refused_in_one_line(spatial_dims: int) -> None:
    with pytest.raises(InputError, match=rf"^spatial_dims is {spatial_dims}: it must be 2 or 3\.$"):
        UNet(spatial_dims)


def test_tiny_volumes_are_computed_in_float32_under_autocast() -> None:
    """oneDNN's bfloat16 weight gradient of a volume of 2 x 2 x 2 voxels was NaN in about 1 of 150 steps."""
    network, seen = UNet(3), {}
    for name, layer in (("fine", network.encoder[0]), ("coarse", network.encoder[3]), ("coarsest", network.decoder[0])):
        layer.register_forward_hook(lambda *call, name=name: seen.__setitem__(name, call[2].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.rand(1, 2, 16, 16, 16)).float().mean().backward()
    assert seen == {"fine": torch.bfloat16, "coarse": torch.float32, "coarsest": torch.float32}
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(
    ("size", "tiny"), [((8, 8, 8), True), ((2, 2, 2), True), ((8, 8, 9), False), ((8, 8), False), ((2, 2), False)]
)
def test_tiny_are_volumes_of_up_to_512_voxels(size: tuple[int, ...], tiny: bool) -> None:
    assert is_tiny(torch.zeros(2, 3, *size)) == tiny


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("size", [(6, 8), (4, 6, 8)])
def test_channels_lie_last_for_every_layer_even_if_there_is_one(channels: int, size: tuple[int, ...]) -> None:
    image = torch.rand(2, channels, *size)
    found = channels_last(image)
    assert torch.equal(found, image)
    assert found.stride()[:2] == (channels * image[0, 0].numel(), 1) and found.stride()[-1] == channels
