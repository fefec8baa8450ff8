"""What a network is evaluated on: batches of a split, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..data import prepared
from ..data.pairs import PreparedPairs, check_label


class ImageBatches:
    """Batches of a split, in its order: {"image" (B, inputs, *spatial), "index": the pairs' numbers}.

    A batch ends where the next pair has another shape.

    Args:
        dataset: the split.
        batch_size: pairs at once.
        inputs: 3 adds the moving label map as the third channel, zeros for a pair without one.
        num_classes: how many the network knows, background included; None does not look at labels.

    Raises:
        InputError: while iterating, for a label that the network does not know.
    """

    def __init__(
        self, dataset: PreparedPairs, batch_size: int, inputs: int = 2, num_classes: int | None = None
    ) -> None:
        self.dataset, self.batch_size, self.inputs, self.num_classes = dataset, batch_size, inputs, num_classes

    def __iter__(self) -> Iterator[dict[str, Any]]:
        images: list[Tensor] = []
        for index in range(len(self.dataset)):
            image = self._image(index)
            if images and (len(images) == self.batch_size or image.shape != images[0].shape):
                yield _batch(images, index)
                images = []
            images.append(image)
        yield _batch(images, len(self.dataset))

    def _image(self, index: int) -> Tensor:
        item = self.dataset[index]
        image = torch.cat([item["moving"], item["fixed"]])
        if self.inputs < 3 and self.num_classes is None:
            return image
        labels = self._labels(index, item)
        for key, label in labels.items():
            check_label(label.numpy(), self.num_classes, self.dataset.dataset.root / self.dataset.pairs[index][key])
        if self.inputs < 3:
            return image
        return torch.cat([image, labels.get("moving_label", torch.zeros_like(item["moving"])).float()])

    def _labels(self, index: int, item: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The labels that a pair has; a split where some pairs have none leaves those of the others on disk."""
        if all(key in item for key in prepared.LABEL_KEYS):
            return {key: item[key] for key in prepared.LABEL_KEYS}
        arrays = prepared.load_arrays(self.dataset.dataset, self.dataset.pairs[index], prepared.LABEL_KEYS)
        return {key: torch.from_numpy(array)[None] for key, array in arrays.items()}


def _batch(images: Sequence[Tensor], end: int) -> dict[str, Any]:
    return {"image": torch.stack(list(images)), "index": list(range(end - len(images), end))}


def image_of(batch: dict[str, Any], device: torch.device, non_blocking: bool, **_: Any) -> tuple[Tensor, None]:
    """Take the network's input of a batch to the device; there is no target."""
    return batch["image"].to(device, non_blocking=non_blocking), None
