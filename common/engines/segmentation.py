"""Atlas segmentation: the labels of the training image that is most like an image, registered to it and refined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn

from ..data.placing import from_canonical
from ..errors import InputError
from ..files import save_image
from .inference import RegistrationInference
from .inference_output import numbered
from .segmentation_cases import ImagesToSegment, ImageToSegment, check_labels


class AtlasSegmentation(RegistrationInference):
    """Segment every image of ``dataset`` and write it to ``output_dir`` as `write_segmentation` does.

    ``files`` lists what was written. For each image a line says which atlas was taken.

    Args:
        device: where the network runs.
        network: a `RegistrationNetwork` or `EnsembleNetwork` of three dimensions with ``num_classes``.
        dataset: the images and their atlases.
        output_dir: where the files go.
        checkpoint: weights to load, strictly; None leaves the network as it is.
        inferer: what runs the network.
        val_handlers: further handlers; ``state.output`` has "pred" and ``state.batch`` the "case".

    Raises:
        InputError: a network without classes, of two dimensions or with too few classes; weights, input or output that
            cannot be used.
    """

    def __init__(
        self,
        device: str | torch.device,
        network: nn.Module,
        dataset: ImagesToSegment,
        output_dir: str | Path,
        checkpoint: str | Path | None = None,
        inferer: Inferer | None = None,
        val_handlers: Sequence[Any] | None = None,
    ) -> None:
        classes = getattr(network, "num_classes", None)
        if classes is None:
            raise InputError("the network has no num_classes, so it cannot segment; use vxm_predictive or vxm_weak.")
        check_labels(dataset.atlas_set, classes)
        super().__init__(device, network, dataset, output_dir, checkpoint, inferer, val_handlers)

    def _write(self, engine: Engine) -> None:
        case: ImageToSegment = engine.state.batch["case"]
        self._bar.write(f"{case.name}: atlas {case.atlas}, NLCC {case.nlcc:.3f}")
        self.files += write_segmentation(case, engine.state.output[Keys.PRED], self.channels, self.output_dir)
        self._bar.update()


def write_segmentation(
    case: ImageToSegment, pred: Tensor, channels: Sequence[str], output_dir: str | Path
) -> list[Path]:
    """Write the segmentation, its confidence and the warped atlas on the image's own grid; return the files.

    ``<name>_segmentation`` is the most probable class (uint8), 0 outside of what the network saw.
    ``<name>_confidence`` is 1 - u of that class, u being its expected error (predictive, Eq. 6), from 0 to 1; of a
    network without ``label_uncertainty`` it is the class's share in the segmentation, which is no measure of how often
    it is wrong. Outside of what the network saw it is 0. ``<name>_warped`` is the atlas image in [0, 1], as it was
    prepared.

    Args:
        pred: (1, C, *region.shape), channels as the network names them.

    Raises:
        InputError: a file cannot be written.
    """
    pred = pred.detach().float().cpu()
    shares = case.region.place(pred[:, numbered(channels, "segmentation")], case.shape)
    classes = shares.argmax(1, keepdim=True)
    uncertainties = numbered(channels, "label_uncertainty")
    of_class = 1 - case.region.place(pred[:, uncertainties], case.shape, fill=1.0) if uncertainties else shares
    warped = case.region.place(pred[:, channels.index("warped")][:, None], case.shape)
    maps = {
        "segmentation": classes.to(torch.uint8),
        "confidence": of_class.gather(1, classes).clamp(0, 1),
        "warped": warped,
    }
    files = {name: Path(output_dir) / f"{case.name}_{name}.nii.gz" for name in maps}
    for name, values in maps.items():
        save_image(files[name], from_canonical(values[0, 0].numpy(), case.affine), case.affine)
    return list(files.values())
