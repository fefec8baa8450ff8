"""common.networks.TransMorph: its parameters, windows and blocks, besides what test_architectures.py asks of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import SIZES, assert_same, lively, saved_and_loaded
from monai.networks.layers import DropPath
from swin_by_hand import block_by_hand
from torch import Tensor, nn

from common.errors import InputError
from common.networks import RegistrationNetwork, TransMorph
from common.networks.swin import Block, SwinEncoder, WindowAttention
from common.networks.transmorph import VARIANTS, normalise
from common.networks.windows import forbidden_pairs, relative_positions
from tools.export import formats as export


def moving_network(dims: int = 2, **options: Any) -> TransMorph:
    """A network whose field is not small."""
    torch.manual_seed(0)
    network = TransMorph(dims, **options).eval()
    nn.init.normal_(network.flow.weight, std=0.1)
    nn.init.constant_(network.flow.bias, 1.5)
    return network


def images(size: tuple[int, ...], batch: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(batch, 1, *size), torch.rand(batch, 1, *size)


@pytest.mark.parametrize(("variant", "count"), [("published", 31_013_570), ("small", 3_468_578)])
def test_the_sizes_are_the_published_one_and_that_of_the_shipped_weights(variant: str, count: int) -> None:
    assert sum(p.numel() for p in TransMorph(2, variant).parameters()) == count


@pytest.mark.parametrize("dims", [2, 3])
def test_the_small_size_fits_a_file_of_25_megabytes(dims: int) -> None:
    assert sum(t.numel() * t.element_size() for t in TransMorph(dims).state_dict().values()) < 25e6


def test_the_published_size_nearly_moves_nothing_and_takes_no_other_weights() -> None:
    torch.manual_seed(0)
    network = TransMorph(2, "published")
    assert network(*images((64, 64))).ddf.abs().max() < 1e-3
    with pytest.raises(RuntimeError, match="size mismatch"):
        network.load_state_dict(moving_network().state_dict())


@pytest.mark.parametrize("size", [(40, 72), (20, 24, 16)])
def test_checkpointing_gives_the_same_gradients(size: tuple[int, ...]) -> None:
    pair, gradients = images(size), []
    for checkpointing in (False, True):
        network = moving_network(len(size), checkpointing=checkpointing).train()  # drop-path draws the same again
        torch.manual_seed(5)
        passes: list[nn.Module] = []
        for block in network.encoder.stages[2].blocks:
            block.register_forward_pre_hook(lambda module, *_, passes=passes: passes.append(module))
        network(*pair).ddf.square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
        assert len(passes) == 4 * (1 + checkpointing)
    for plain, again in zip(*gradients):
        torch.testing.assert_close(plain, again, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("variant", "chance"), [("published", 0.3), ("small", 0.1)])
def test_blocks_are_left_out_in_training_alone_and_ever_more_often(variant: str, chance: float) -> None:
    network, pair = moving_network(variant=variant), images((64, 64))
    chances = [m.drop_prob for m in network.modules() if isinstance(m, DropPath)]
    steps = torch.tensor(chances).diff()
    assert chances[0] == 0 and chances[-1] == pytest.approx(chance)
    assert torch.allclose(steps, steps[0], atol=1e-6)
    with torch.inference_mode():
        assert torch.equal(network(*pair).ddf, network(*pair).ddf)
        network.train()
        assert any(not torch.equal(network(*pair).ddf, network(*pair).ddf) for _ in range(5))


IN_SWINS_CODE = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.projection",
    "mlp.fc1": "perceptron.linear1",
    "mlp.fc2": "perceptron.linear2",
}


def drawn(block: Block) -> dict[str, Tensor]:
    """The weights of ``block``, of a size at which all of them matter, named as in Swin's own code."""
    random = torch.Generator().manual_seed(3)
    for weight in block.parameters():
        scale = 1.0 if weight is block.attention.bias else 0.2
        weight.data += scale * torch.randn(weight.shape, generator=random)
    weights = dict(block.named_parameters())
    named = {
        f"{theirs}.{k}": weights.get(f"{ours}.{k}")
        for theirs, ours in IN_SWINS_CODE.items()
        for k in ("weight", "bias")
    }
    return named | {"attn.relative_position_bias_table": block.attention.bias}


@pytest.mark.parametrize(
    ("variant", "grid", "window", "shift"),
    [
        ("published", (5, 9), (8, 8), (4, 4)),  # smaller than the window along rows, no multiple along columns
        ("published", (8, 2), (8, 8), (4, 4)),
        ("published", (2, 5, 4), (4, 4, 4), (2, 2, 2)),
        ("small", (5, 9), (5, 8), (0, 4)),
        ("small", (8, 2), (8, 2), (0, 0)),
        ("small", (2, 5, 4), (2, 4, 4), (0, 2, 0)),
    ],
)
@torch.no_grad()
def test_blocks_are_those_of_swin_token_by_token(
    variant: str, grid: tuple[int, ...], window: tuple[int, ...], shift: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    network = TransMorph(len(grid), variant).eval()
    stage, heads = network.encoder.stages[1], VARIANTS[variant].heads[1]
    x = torch.rand(2, *grid, network.encoder.channels[1])
    largest, expected = {2: (8, 8), 3: (4, 4, 4)}[len(grid)], list(x)
    for block, s in zip(stage.blocks, [(0,) * len(grid), shift]):
        weights, hidden = drawn(block), variant == "small"
        expected = [block_by_hand(one, weights, heads, (window, largest), s, hidden) for one in expected]
    torch.testing.assert_close(stage(x), torch.stack(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(32, 64), (32, 32, 32)])
@torch.no_grad()
def test_the_decoder_joins_the_stages_and_the_pooled_images(variant: str, size: tuple[int, ...]) -> None:
    network, pair = moving_network(len(size), variant=variant), images(size)
    convolve, mode = {2: (F.conv2d, "bilinear"), 3: (F.conv3d, "trilinear")}[len(size)]
    both, kernel, padding = torch.cat(pair, 1), *((3, 1) if variant == "published" else (2, 0))
    box = torch.full((2, 1, *[kernel] * len(size)), kernel ** -float(len(size)))
    pooled = convolve(both, box, stride=2, padding=padding, groups=2)  # zeros around the image count

    def convolved(x: Tensor, module: nn.Module) -> Tensor:
        return F.leaky_relu(F.instance_norm(convolve(x, module.convolution.weight, padding=1), eps=1e-5), 0.01)

    half, full = network.skips
    skips = [convolved(both, full), convolved(pooled, half), *network.encoder(both)]
    x = skips.pop()
    for up in network.decoder:
        x = F.interpolate(x, scale_factor=2, mode=mode, align_corners=False)
        x = convolved(convolved(torch.cat([x, skips.pop()], 1), up.first), up.second)
    expected = convolve(x, network.flow.weight, network.flow.bias, padding=1)
    torch.testing.assert_close(network(*pair).ddf, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture
def as_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small network by the rules of the published one."""
    monkeypatch.setitem(VARIANTS, "small", VARIANTS["small"]._replace(as_released=True))


@pytest.mark.usefixtures("as_released")
@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_script_of_whole_windows_is_for_any_size_batch_and_device(dims: int) -> None:
    network = RegistrationNetwork(lively(TransMorph(dims))).eval()
    script = torch.jit.script(network)
    loaded = saved_and_loaded(script)
    for number, size in enumerate(SIZES[dims]):
        assert_same(loaded, network, size, batch=(1, 3)[number % 2])
    assert "Device = prim::Constant" not in str(script.network.inlined_graph)
    assert script.to("meta")(torch.empty(2, 2, *SIZES[dims][1], device="meta")).device.type == "meta"


@pytest.mark.slow
@pytest.mark.usefixtures("as_released")
@pytest.mark.parametrize("dims", [2, 3])
def test_onnx_of_whole_windows_is_for_any_size_and_batch(dims: int) -> None:
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    network = RegistrationNetwork(lively(TransMorph(dims))).eval()
    content, _ = export.exported(network, "onnx", {"bundle": "tsm"})
    for number, size in enumerate(SIZES[dims]):
        assert_same(export.onnx_run(content), network, size, (1, 3)[number % 2], tolerance=1e-4)


@pytest.mark.parametrize("window", [(4, 3), (3, 2, 4)])
def test_relative_positions_tell_apart_every_offset_and_nothing_else(window: tuple[int, ...]) -> None:
    axes = torch.meshgrid(*map(torch.arange, window), indexing="ij")
    places = torch.stack(axes, -1).flatten(0, -2)
    offsets = (places[:, None] - places).flatten(0, 1)
    rows = relative_positions(window).flatten()
    same_offset = (offsets[:, None] == offsets).all(-1)
    assert torch.equal(same_offset, rows[:, None] == rows)
    assert rows.min() == 0 and rows.max() == torch.tensor([2 * w - 1 for w in window]).prod() - 1


def test_a_smaller_window_has_the_biases_of_the_same_offsets() -> None:
    attention = WindowAttention(8, 2, (4, 4))
    small, large = attention._bias((2, 3)).view(2, 2, 3, 2, 3), attention._bias((4, 4)).view(2, 4, 4, 4, 4)
    assert torch.equal(small, large[:, :2, :3, :2, :3])


@pytest.mark.parametrize("shift", [(0, 0), (2, 2)])
def test_attention_never_crosses_the_border_or_reaches_the_padding(shift: tuple[int, int]) -> None:
    grid, window = (8, 11), (4, 4)
    forbidden = forbidden_pairs(grid, window, shift, torch.device("cpu"))
    assert not forbidden.diagonal(dim1=1, dim2=2).any()
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
    rows, columns = (t.roll([-s for s in shift], (0, 1)) for t in (rows, columns))
    for number, wrong in enumerate(forbidden):
        part = (slice(4 * (number // 3), 4 * (number // 3) + 4), slice(4 * (number % 3), 4 * (number % 3) + 4))
        r, c = rows[part].flatten(), columns[part].flatten()
        far = ((r[:, None] - r).abs() >= 4) | ((c[:, None] - c).abs() >= 4)
        assert torch.equal(wrong, far | ((c[:, None] == 11) ^ (c == 11)))


def test_biases_begin_as_swins_do() -> None:
    torch.manual_seed(0)
    bias = WindowAttention(8, 8, (8, 8)).bias
    assert bias.std().item() == pytest.approx(0.02, rel=0.1) and bias.mean().abs() < 0.002


def test_whole_windows_need_no_mask() -> None:
    assert forbidden_pairs((8, 12), (4, 4), (0, 0), torch.device("cpu")) is None


def test_padding_to_whole_windows_changes_nothing() -> None:
    torch.manual_seed(0)
    encoder = SwinEncoder(2, 1, embed=8, depths=(1,), heads=(2,), window=(4, 4)).eval()
    image = torch.rand(1, 1, 16, 20)  # 4 x 5 tokens: the fifth column is a window of its own, mostly padding
    column = encoder(image[..., 16:])[0]
    assert torch.allclose(encoder(image)[0][..., 4:], column, atol=1e-6)


@pytest.mark.parametrize("size", [(9, 5), (1, 1), (4, 3, 5)])
def test_normalisation_is_that_of_each_channel_of_each_image(size: tuple[int, ...]) -> None:
    x = torch.rand(3, 4, *size) * 5
    axes = tuple(range(2, x.dim()))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    assert torch.allclose(normalise(x), (x - mean) / (variance + 1e-5).sqrt(), atol=1e-4)


def test_what_is_not_known_is_refused_with_what_is() -> None:
    with pytest.raises(InputError, match="'huge'.*published, small"):
        TransMorph(2, "huge")
    with pytest.raises(InputError, match="spatial_dims is 4"):
        TransMorph(4)
