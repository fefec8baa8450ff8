"""Weights of TransMorph as the code of its authors saves them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from ..errors import InputError
from ..io.weights import mismatch
from .transmorph import TransMorph

PATCHES = "transformer.patch_embed.proj.weight"  # (96, 2, 4, 4): tells the number of dimensions
THEIRS = (  # of ours, each applied to what the others leave
    (r"^encoder\.embed", "transformer.patch_embed"),
    (r"^encoder\.stages", "transformer.layers"),
    (r"^encoder\.mergings\.(\d)", r"transformer.layers.\1.downsample"),
    (r"^encoder\.norms\.", "transformer.norm"),
    (r"\.attention\.bias$", ".attn.relative_position_bias_table"),
    (r"\.attention\.qkv", ".attn.qkv"),
    (r"\.attention\.projection", ".attn.proj"),
    (r"\.perceptron\.linear", ".mlp.fc"),
    (r"^skips\.0\.convolution", "c1.0"),
    (r"^skips\.1\.convolution", "c2.0"),
    (r"^decoder\.(\d)\.first\.convolution", r"up\1.conv1.0"),
    (r"^decoder\.(\d)\.second\.convolution", r"up\1.conv2.0"),
    (r"^flow", "reg_head.0"),
)
COMPUTED = re.compile(r"\.relative_position_index$|^spatial_trans\.grid$")  # no weights
# Where each of the 4 (8) tokens that MONAI's PatchMergingV2 joins stands in theirs, which along the axes of the image
# has 00 10 01 11 (MONAI the same), and 000 100 010 001 110 011 101 111 (MONAI 000 001 010 011 100 101 110 111).
JOINED = {2: (0, 1, 2, 3), 3: (0, 3, 2, 5, 1, 6, 4, 7)}


def from_transmorph(state: Mapping[str, object]) -> dict[str, Tensor]:
    """The state dict of ``TransMorph(dims, "published")`` that computes what the authors' network does with ``state``.

    The layout is that of github.com/junyuchen245/TransMorph_Transformer_for_Medical_Image_Registration, written down
    from memory of its code, and not tried on a checkpoint from there. Only renamed, since they agree: ``qkv`` (rows:
    the queries of all heads, the keys, the values; no bias), the table of biases (query - key + w - 1, the last axis
    fastest), the decoder's inputs (coarse features, then the skip; ``c1`` at half, ``c2`` at full resolution), the
    images (moving, then fixed), the field (voxels, channel k along axis k). Tokens that a merging joins are put in
    MONAI's order. Indices of positions and the warp's grid are computed, and dropped.

    What no weight tells: the authors' mask is -100, ours minus infinity. And their warp, as remembered, counts voxels
    as with aligned corners but samples as without: at x n / (n - 1) - 1/2 in place of x, which ours does not repeat.

    Args:
        state: of the network (2D with windows of 8 x 8, or 3D with 4 x 4 x 4; both kinds of skips, relative positions),
            or a checkpoint with that under "state_dict"; of one device or several (names begin with "module.").

    Raises:
        InputError: for weights of another network: what is missing, unknown, of another shape, or not finite.
    """
    given = _weights(state)
    patches = given.get(PATCHES)
    dims = 3 if patches is not None and patches.dim() == 5 else 2
    with torch.device("meta"):
        ours = TransMorph(dims, "published").state_dict()
    problem = mismatch({theirs(key): value for key, value in ours.items()}, given)
    if problem:
        raise InputError(f"no weights of TransMorph as its authors' code saves them, 2D with windows of 8: {problem}.")
    return {key: _in_our_order(key, given[theirs(key)], dims) for key in ours}


def theirs(key: str) -> str:
    """The authors' name for ``key`` of ours."""
    for pattern, name in THEIRS:
        key = re.sub(pattern, name, key)
    return key


def _weights(state: Mapping[str, object]) -> dict[str, Tensor]:
    inner = state.get("state_dict", state) if isinstance(state, Mapping) else None
    if not isinstance(inner, Mapping) or not all(torch.is_tensor(value) for value in inner.values()):
        raise InputError(f"a {type(state).__name__} is no state dict; give one, or a checkpoint that has a state_dict.")
    named = {str(key).removeprefix("module."): cast(Tensor, value) for key, value in inner.items()}
    return {key: value for key, value in named.items() if not COMPUTED.search(key)}


def _in_our_order(key: str, weight: Tensor, dims: int) -> Tensor:
    """``weight`` itself, or with the tokens that lie one after another along its last axis as MONAI joins them."""
    if not key.startswith("encoder.mergings."):
        return weight
    return weight.unflatten(-1, (len(JOINED[dims]), -1))[..., JOINED[dims], :].flatten(-2)
