"""A block of the Swin transformer, token by token: what golden tests compare with."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]  # named as in Swin's own code
Axes = tuple[int, ...]


def block_by_hand(x: Tensor, w: Weights, heads: int, windows: tuple[Axes, Axes], shift: Axes, hidden: bool) -> Tensor:
    """Tokens (*grid, C) to tokens of the same shape; arguments as of `attended`."""
    x = x + attended(normed(x, w, "norm1"), w, heads, windows, shift, hidden)
    inner = F.gelu(normed(x, w, "norm2") @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
    return x + inner @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]


def normed(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-5)


def attended(x: Tensor, w: Weights, heads: int, windows: tuple[Axes, Axes], shift: Axes, hidden: bool) -> Tensor:
    """Attention of normalised tokens (*grid, C).

    Args:
        x: the tokens.
        w: the block's weights.
        heads: of the attention.
        windows: the window, and the one that the table of biases is for.
        shift: of the windows.
        hidden: whether what fills up windows is hidden.
    """
    grid, (window, largest) = x.shape[:-1], windows
    places = list(product(*(range(-(-n // size) * size) for n, size in zip(grid, window))))
    ends = [last + 1 for last in places[-1]]
    tokens = {p: x[p] if inside(p, grid) else torch.zeros(x.shape[-1]) for p in places}
    rolled = {p: tuple((i - s) % n for i, s, n in zip(p, shift, ends)) for p in places}
    parts = {p: (w["attn.qkv.weight"] @ token).view(3, heads, -1) for p, token in tokens.items()}

    def together(p: Axes, q: Axes) -> bool:
        one_window = all(a // size == b // size for a, b, size in zip(rolled[p], rolled[q], window))
        return one_window and all((a < s) == (b < s) for a, b, s in zip(p, q, shift))  # neither came round the end

    def row(p: Axes, q: Axes) -> int:
        number = 0
        for a, b, size in zip(rolled[p], rolled[q], largest):
            number = number * (2 * size - 1) + a - b + size - 1
        return number

    found = torch.empty_like(x)
    for p in product(*map(range, grid)):
        seen = [q for q in places if together(p, q) and (inside(q, grid) or not hidden)]
        keys, values = (torch.stack([parts[q][i] for q in seen], 1) for i in (1, 2))  # (heads, n, C / heads)
        bias = w["attn.relative_position_bias_table"][[row(p, q) for q in seen]].T
        logits = (keys @ parts[p][0][..., None])[..., 0] / keys.shape[-1] ** 0.5 + bias
        found[p] = (logits.softmax(-1)[:, None] @ values).flatten()
    return found @ w["attn.proj.weight"].T + w["attn.proj.bias"]


def inside(place: Axes, grid: Axes) -> bool:
    return all(i < n for i, n in zip(place, grid))
