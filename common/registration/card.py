"""What a bundle's metadata say of the images that its weights were trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAR = 1.25
"""The factor by which voxels may differ from the training's."""


@dataclass(frozen=True)
class Card:
    """The images of a training; None is unknown.

    Attributes:
        spacing: of their voxels along the network's axes, mm.
        size: what the network saw of them at once, in voxels.
        modality: as DICOM calls it: "MR".
    """

    spacing: tuple[float, ...] | None = None
    size: tuple[int, ...] | None = None
    modality: str | None = None

    def is_far(self, spacing: Sequence[float]) -> bool:
        """Whether voxels of ``spacing``, mm along the network's axes, differ by more than `FAR`."""
        if self.spacing is None or len(self.spacing) != len(spacing):
            return False
        ratios = [ours / theirs for ours, theirs in zip(spacing, self.spacing, strict=True)]
        return max(*ratios, *(1 / ratio for ratio in ratios)) > FAR


def card_of(bundle_root: str | Path, weights: Any) -> Card:
    """The card of a bundle's own weights; of others (a run's, an ensemble's) nothing is known.

    Args:
        bundle_root: the bundle's folder, whose metadata may have ``spacing_mm``, ``size`` and ``modality`` in
            ``weights``, beside their ``file``.
        weights: the file that is loaded.
    """
    folder = Path(bundle_root).resolve()
    try:
        said = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))["weights"]
        own = isinstance(weights, str | Path) and Path(weights).resolve() == folder / said["file"]
        spacing, size, modality = (said.get(key) if own else None for key in ("spacing_mm", "size", "modality"))
        return Card(
            tuple(map(float, spacing)) if spacing else None, tuple(map(int, size)) if size else None, modality or None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Card()
