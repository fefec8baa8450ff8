"""common.networks.published_field: the layers of DiffuseMorph's deformation network as they were published."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from architectures import SIZES, assert_same, lively, saved_and_loaded
from torch import Tensor, nn

from common.networks import DiffuseMorph, RegistrationNetwork
from common.networks.published_field import PublishedField


def moving_field(dims: int) -> PublishedField:
    torch.manual_seed(0)
    field = PublishedField(dims).eval()
    nn.init.normal_(field.flow.weight, std=1.0)
    return field


def channels_of(kind: type[nn.Module], field: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_channels, m.out_channels) for m in field.modules() if isinstance(m, kind)]


def test_its_layers_are_those_that_were_published() -> None:
    with torch.device("meta"):
        field = PublishedField(2)
    down = [(2, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    up = [(1024 + 512, 1024), (1024 + 256, 512), (512 + 128, 256), (256, 128), (128 + 64, 64)]
    blocks = [convolution for i, o in [*down, *up] for convolution in ((i, o), (o, o))]
    assert channels_of(nn.Conv2d, field) == [*blocks, (64, 2)]
    assert channels_of(nn.ConvTranspose2d, field) == [(n, n) for n in (1024, 1024, 512, 128)]
    kernels = {m.kernel_size for m in field.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    assert kernels == {(3, 3)}
    assert all(m.bias is not None for m in field.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


def written_out(field: PublishedField, x: Tensor) -> Tensor:
    """The forward as functions of the weights in their order."""
    weights = iter(list(field.down.parameters()))
    skips: list[Tensor] = []

    def block(x: Tensor, stride: int = 1) -> Tensor:
        for step in (stride, 1):
            x = F.leaky_relu(F.conv2d(x, next(weights), next(weights), stride=step, padding=1), 0.2)
        return x

    for level in range(5):
        x = block(x, stride=1 if level == 0 else 2)
        skips.append(x)
    x, weights = skips.pop(), iter(list(field.join.parameters()))
    for level, up in enumerate(field.up):
        x = F.conv_transpose2d(x, up.weight, up.bias, stride=2)[..., 1:, 1:]
        x = block(torch.cat([skips.pop(), x], dim=1))
        x = block(x) if level == 2 else x
    return F.conv2d(x, field.flow.weight, field.flow.bias, padding=1)


def test_it_computes_what_its_layers_written_out_do() -> None:
    field, images = moving_field(2), torch.rand(1, 2, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(field(images), written_out(field, images), rtol=1e-4, atol=1e-5)


def test_what_is_dropped_is_the_output_of_the_deepest_block() -> None:
    field, seen = PublishedField(2, dropout=0.3), []
    field.dropout.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape))
    with torch.no_grad():
        field(torch.rand(1, 2, 32, 48))
    assert field.dropout.p == 0.3 and seen == [(1, 1024, 2, 3)]


@pytest.mark.slow
def test_the_published_variant_is_scripted_for_any_size() -> None:
    torch.manual_seed(0)
    network = lively(RegistrationNetwork(DiffuseMorph(2, "published")))
    script = saved_and_loaded(torch.jit.script(network))
    for size in SIZES[2][:2]:
        assert_same(script, network, size, 2)
