"""common.networks.from_transmorph: the authors' layout, computed as their network computes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from documents import blocks
from swin_by_hand import Weights, block_by_hand, normed
from torch import Tensor, nn

from common.errors import InputError
from common.io.weights import load_weights
from common.networks import RegistrationNetwork, TransMorph, from_transmorph

FAQ = Path(__file__).resolve().parents[2] / "docs" / "faq.md"
DEPTHS, HEADS, CHANNELS = (2, 2, 4, 2), (4, 4, 8, 8), (96, 192, 384, 768)
MERGED = {
    2: [(0, 0), (1, 0), (0, 1), (1, 1)],
    3: [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
}


def theirs(dims: int = 2) -> Weights:
    """A state dict in the authors' layout, with fixed values that all matter."""
    window = {2: 8, 3: 4}[dims]
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.patch_embed.proj.weight": (96, 2) + (4,) * dims,
        "transformer.patch_embed.proj.bias": (96,),
        **norm("transformer.patch_embed.norm", 96),
    }
    for i, (c, depth, heads) in enumerate(zip(CHANNELS, DEPTHS, HEADS)):
        for j in range(depth):
            block = f"transformer.layers.{i}.blocks.{j}"
            shapes |= norm(f"{block}.norm1", c) | norm(f"{block}.norm2", c)
            shapes |= {f"{block}.attn.relative_position_bias_table": ((2 * window - 1) ** dims, heads)}
            shapes |= {f"{block}.attn.relative_position_index": (window**dims, window**dims)}
            shapes |= {f"{block}.attn.qkv.weight": (3 * c, c)} | linear(f"{block}.attn.proj", c, c)
            shapes |= linear(f"{block}.mlp.fc1", 4 * c, c) | linear(f"{block}.mlp.fc2", c, 4 * c)
        if i < 3:
            shapes |= {f"transformer.layers.{i}.downsample.reduction.weight": (2 * c, 2**dims * c)}
            shapes |= norm(f"transformer.layers.{i}.downsample.norm", 2**dims * c)
        shapes |= norm(f"transformer.norm{i}", c)
    for k, (c, out) in enumerate([(768, 384), (384, 192), (192, 96), (96, 48), (48, 16)]):
        shapes[f"up{k}.conv1.0.weight"] = (out, c + out) + (3,) * dims
        shapes[f"up{k}.conv2.0.weight"] = (out, out) + (3,) * dims
    shapes |= {"c1.0.weight": (48, 2) + (3,) * dims, "c2.0.weight": (16, 2) + (3,) * dims}
    shapes |= {"reg_head.0.weight": (dims, 16) + (3,) * dims, "reg_head.0.bias": (dims,)}
    shapes |= {"spatial_trans.grid": (1, dims) + (32,) * dims}
    random = torch.Generator().manual_seed(0)
    return {key: value(key, shape, random) for key, shape in shapes.items()}


def value(key: str, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    drawn = torch.randn(shape, generator=random)
    if key.endswith("table"):
        return drawn
    if len(shape) == 1:
        return 0.2 * drawn + ("norm" in key and key.endswith("weight"))
    return drawn * (2 / drawn[0].numel()) ** 0.5


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def below(state: Weights, name: str) -> Weights:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


def merged(x: Tensor, w: Weights) -> Tensor:
    """The authors' PatchMerging of tokens (*grid, C)."""
    corners = [x[tuple(slice(start, None, 2) for start in corner)] for corner in MERGED[x.dim() - 1]]
    return normed(torch.cat(corners, -1), w, "norm") @ w["reduction.weight"].T


def field_by_hand(state: Weights, image: Tensor) -> Tensor:
    """What the authors' network predicts of the two images (1, 2, rows, columns)."""
    embedding = below(state, "transformer.patch_embed")
    x = F.conv2d(image, embedding["proj.weight"], embedding["proj.bias"], stride=4)[0].permute(1, 2, 0)
    x, skips = normed(x, embedding, "norm"), []
    for i, (depth, heads) in enumerate(zip(DEPTHS, HEADS)):
        for j in range(depth):
            block = below(state, f"transformer.layers.{i}.blocks.{j}")
            x = block_by_hand(x, block, heads, ((8, 8), (8, 8)), (j % 2 * 4, j % 2 * 4), hidden=False)
        skips.append(normed(x, state, f"transformer.norm{i}").permute(2, 0, 1)[None])
        x = x if i == 3 else merged(x, below(state, f"transformer.layers.{i}.downsample"))
    ninth = torch.full((2, 1, 3, 3), 1 / 9)
    pooled = F.conv2d(image, ninth, stride=2, padding=1, groups=2)
    skips = [convolved(image, state["c2.0.weight"]), convolved(pooled, state["c1.0.weight"]), *skips]
    found = skips.pop()
    for k in range(5):
        found = F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)
        found = convolved(torch.cat([found, skips.pop()], dim=1), state[f"up{k}.conv1.0.weight"])
        found = convolved(found, state[f"up{k}.conv2.0.weight"])
    return F.conv2d(found, state["reg_head.0.weight"], state["reg_head.0.bias"], padding=1)


def convolved(x: Tensor, weight: Tensor) -> Tensor:
    x = F.conv2d(x, weight, padding=1)
    x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return torch.where(x > 0, x, 0.01 * x)


def test_the_published_network_is_that_of_its_authors() -> None:
    state, image = theirs(), torch.rand(1, 2, 32, 96, generator=torch.Generator().manual_seed(1))
    network = TransMorph(2, "published").eval()
    network.load_state_dict(from_transmorph(state))
    with torch.no_grad():
        found, expected = network(image[:, :1], image[:, 1:]).ddf, field_by_hand(state, image)
    assert expected.std() > 0.3
    assert {layer.eps for layer in network.modules() if isinstance(layer, nn.LayerNorm)} == {1e-5}  # too small to tell
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * expected.std().item())


@pytest.mark.parametrize("dims", [2, 3])
def test_tokens_are_joined_in_the_authors_order(dims: int) -> None:
    state, network = theirs(dims), TransMorph(dims, "published")
    network.load_state_dict(from_transmorph(state))
    x = torch.rand(*(4, 6, 2)[:dims], 96, generator=torch.Generator().manual_seed(1))
    expected = merged(x, below(state, "transformer.layers.0.downsample"))
    torch.testing.assert_close(network.encoder.mergings[0](x[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_every_key_is_used_once_and_what_is_computed_is_dropped() -> None:
    state = theirs()
    ours, sizes = from_transmorph(state), TransMorph(2, "published").state_dict()
    assert {key: tensor.shape for key, tensor in ours.items()} == {key: tensor.shape for key, tensor in sizes.items()}
    used = {id(tensor.untyped_storage()) for tensor in ours.values()}
    assert len(ours) == len(state) - sum(DEPTHS) - 1 == len(used)


def test_a_checkpoint_of_several_devices_serves_as_well() -> None:
    state = theirs()
    checkpoint = {"epoch": 3, "state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}
    assert all(torch.equal(a, b) for a, b in zip(from_transmorph(checkpoint).values(), from_transmorph(state).values()))


def test_what_the_page_says_converts_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": theirs()}, "theirs.pth.tar")
    exec("".join(content for _, content in blocks(FAQ.read_text("utf-8"), "python")), {})
    found = load_weights(RegistrationNetwork(TransMorph(2, "published")), "transmorph.pt").state_dict()
    assert torch.equal(found["estimator.flow.bias"], theirs()["reg_head.0.bias"])


def without(state: Weights) -> None:
    del state["transformer.norm2.bias"]


def with_positions(state: Weights) -> None:
    state["transformer.absolute_pos_embed"] = torch.zeros(3)


def of_other_windows(state: Weights) -> None:
    state["transformer.layers.0.blocks.0.attn.relative_position_bias_table"] = torch.zeros(169, 4)


def broken(state: Weights) -> None:
    state["up4.conv2.0.weight"][0, 0] = torch.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without, r"missing: transformer\.norm2\.bias\.$"),
        (with_positions, r"unexpected: transformer\.absolute_pos_embed\.$"),
        (of_other_windows, r"shapes: transformer\.layers\.0.*table is \[169, 4\] instead of \[225, 4\]\.$"),
        (broken, r"values: up4\.conv2\.0\.weight holds NaN or infinite values\.$"),
        (dict.clear, r"missing: transformer\.patch_embed.* and \d+ more\.$"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line(spoil: Callable[[Weights], None], message: str) -> None:
    state = theirs()
    spoil(state)
    with pytest.raises(InputError, match=message) as refused:
        from_transmorph(state)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("state", [None, [torch.zeros(1)], {"epoch": 3}, {"state_dict": None}])
def test_what_is_no_state_dict_is_refused(state: object) -> None:
    with pytest.raises(
        InputError, match=r"^a \w+ is no state dict; give one, or a checkpoint that has a state_dict\.$"
    ):
        from_transmorph(state)
