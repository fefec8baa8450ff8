"""What a bundle's metadata say of the images that its weights were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..collection.weights import weights_in

FAR = 1.25
"""The factor by which voxels may differ from the training's."""


@dataclass(frozen=True)
class Card:
    """The images of a training; None is unknown.

    Attributes:
        spacing: of their voxels along the network's axes, mm; None too where these have no physical size.
        size: what the network saw of them at once, in voxels.
        modality: as DICOM calls it: "MR".
        resized: whether they were whole images that had been resized to ``size``, each axis by a factor of its own.
    """

    spacing: tuple[float, ...] | None = None
    size: tuple[int, ...] | None = None
    modality: str | None = None
    resized: bool = False

    def is_far(self, spacing: Sequence[float]) -> bool:
        """Whether voxels of ``spacing``, mm along the network's axes, differ by more than `FAR`."""
        if self.spacing is None or len(self.spacing) != len(spacing):
            return False
        ratios = [ours / theirs for ours, theirs in zip(spacing, self.spacing, strict=True)]
        return max(*ratios, *(1 / ratio for ratio in ratios)) > FAR


def card_of(file: Any) -> Card:
    """The card of weights that the metadata of their bundle describe; of others (a run's, an ensemble's) none is known.

    Args:
        file: the weights.
    """
    known = weights_in(file)
    try:
        spacing, size, modality = (known.about.get(k) if known else None for k in ("spacing_mm", "size", "modality"))
        return Card(
            tuple(map(float, spacing)) if spacing else None,
            tuple(map(int, size)) if size else None,
            modality or None,
            bool(known and size and known.about.get("resized")),
        )
    except (ValueError, TypeError):
        return Card()
