"""``make_grid`` and ``save_image`` as far as MONAI Label's import goes: registration never calls them."""

from __future__ import annotations

from typing import Any, NoReturn


def make_grid(*_: Any, **__: Any) -> NoReturn:
    """Refuse: pictures need torchvision itself."""
    raise ImportError("torchvision is not installed; install the build that fits this torch.")


save_image = make_grid
