"""``monai.bundle run segmentation``: the labels of the training image most like an image, registered and refined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..data import atlas, placing, prepared
from ..errors import InputError
from ..files import staged
from ..grids import spacing_of
from ..io.images import MedicalImage, read_affine, read_image, stem
from ..nifti import save_image
from .case import Case, native_region
from .grids import NetworkGrid
from .inference import RegistrationInference
from .maps import numbered
from .region import Framing, Region
from .tasks import Task

if TYPE_CHECKING:
    from ..networks.ensemble import Registering


class ImagesToSegment:
    """The images of a run, each with its atlas; iterating gives ``{"task": Task, "atlas": str, "nlcc": float}``.

    Give ``image`` and ``atlas_dir``, or ``dataset_dir`` and ``split``. An image of a file is brought to the atlases'
    grid as they were: axes to RAS, resampled if they were, cropped or padded, normalised.

    Args:
        image: a volume of any orientation, spacing and size.
        atlas_dir: a prepared data set of pairs of two subjects; None is ``dataset_dir``.
        dataset_dir, split: a prepared data set whose images are segmented, in place of ``image``.
        source: the folder that it was prepared from, to segment the files themselves on their own grids; without it
            results are on the prepared grid.
        atlas_split: the split whose labelled images are the atlases; never one of the image's own subject.
        window: of the likeness, see `data.atlas`.
        num_classes: of the network; None does not compare it with the atlases' labels.
        name: what the files of ``image`` are called after; None is its own name.

    Raises:
        InputError: neither an image nor a data set, no atlases, or files that cannot be used.
    """

    spatial_dims, framing = 3, Framing()

    def __init__(
        self,
        image: str | Path | None = None,
        atlas_dir: str | Path | None = None,
        dataset_dir: str | Path | None = None,
        split: str = "test",
        source: str | Path | None = None,
        atlas_split: str = "train",
        window: int = 5,
        num_classes: int | None = None,
        name: str | None = None,
    ) -> None:
        if bool(image) == bool(dataset_dir) or not (atlas_dir or dataset_dir):
            raise InputError(
                f"image is {str(image or 'null')!r}, atlas_dir is {str(atlas_dir or 'null')!r} and dataset_dir is "
                f"{str(dataset_dir or 'null')!r}; give --image and --atlas_dir, or --dataset_dir and --split."
            )
        self.image, self.source, self.name = image, source, name
        self.atlas_set = prepared.read(str(atlas_dir or dataset_dir))
        check_labels(self.atlas_set, num_classes)
        if image or source:
            placing.check_preparation(self.atlas_set.preparation, self.atlas_set.root)
        if dataset_dir:
            self.dataset = prepared.read(dataset_dir)
            self.sides = [side for side in atlas.sides_of(self.dataset, split) if side["is_fixed"]]
        self.candidates, self.atlases = atlas.load_atlases(self.atlas_set, atlas_split, window)

    def __len__(self) -> int:
        return 1 if self.image else len(self.sides)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.image:
            return self._of_file(Path(self.image), self.name or stem(self.image))
        return self._of_side(self.sides[index])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def _of_file(self, path: Path, name: str, subject: str | None = None) -> dict[str, Any]:
        preparation = self.atlas_set.preparation
        fixed = read_image(path, preparation["channel"])
        if fixed.array.ndim != 3 or min(fixed.array.shape) < 2:
            raise InputError(f"{path}: shape {list(fixed.array.shape)} is no volume; atlases are volumes.")
        placed = placing.prepare(placing.Volume(fixed.array, fixed.affine), preparation)
        if not placed.array.any():
            raise InputError(f"{path}: constant in the middle {preparation['size']} voxels; check the file.")
        self._compare_spacing(path, placed.affine)
        shape, affine = NetworkGrid.over(fixed, 3, axes="RAS").turned
        region = native_region({**placed.where, "native_shape": shape}, placed.array.shape, placed.affine, affine, 3)
        return self._entry(name, fixed, _tensor(placed.array), _tensor(placed.inside), region, subject)

    def _of_side(self, side: atlas.Side) -> dict[str, Any]:
        path = self.dataset.root / side["image"]
        if self.source:
            return self._of_file(self._native(side), stem(path), side["subject"])
        image, mask = atlas.load_side(self.dataset, side)
        fixed = MedicalImage(image[0, 0].numpy(), read_affine(path), path)
        region = Region.box([0] * 3, fixed.array.shape)
        return self._entry(stem(path), fixed, image, mask, region, side["subject"])

    def _entry(
        self, name: str, fixed: MedicalImage, image: Tensor, mask: Tensor | None, region: Region, subject: str | None
    ) -> dict[str, Any]:
        allowed = [subject is None or candidate["subject"] != subject for candidate in self.candidates]
        index, nlcc = atlas.best_atlas(image, mask, self.atlases, allowed)
        taken, shown = self.candidates[index], self.atlases.images[index : index + 1]
        pair = {"id": taken["subject"], "moving_label": taken["label"]}
        label = prepared.load_arrays(self.atlas_set, pair, ("moving_label",))["moving_label"]
        path = self.atlas_set.root / taken["image"]
        case = Case(MedicalImage(shown[0, 0].numpy(), read_affine(path), path), fixed, name=name)
        grid = NetworkGrid.over(fixed, 3, axes="RAS")
        task = Task(case, grid, region, torch.cat([shown, image, _tensor(label)], dim=1))
        return {"task": task, "atlas": taken["subject"], "nlcc": nlcc}

    def _native(self, side: atlas.Side) -> Path:
        if "native" not in side:
            path = self.dataset.root / "dataset.json"
            raise InputError(f"{path}: does not say which file {side['image']} was made of; leave out --source.")
        return prepared.source_file(self.dataset, str(self.source), side["native"]["path"])

    def _compare_spacing(self, path: Path, affine: np.ndarray) -> None:
        """Say so if voxels differ in size from the atlases', whose set was not resampled."""
        theirs = spacing_of(read_affine(self.atlas_set.root / self.candidates[0]["image"]))
        if not np.allclose(spacing_of(affine), theirs, rtol=0.1):
            ours, other = ("x".join(f"{s:.3g}" for s in spacing) for spacing in (spacing_of(affine), theirs))
            print(f"warning: {path}: voxels of {ours} mm, but the atlases' are {other} mm and nothing is resampled; "
                  "prepare the data set with --spacing.")  # fmt: skip


def check_labels(dataset: prepared.Dataset, num_classes: int | None) -> None:
    """Raise InputError if the data set has labels that a network of ``num_classes`` has no class for."""
    if num_classes is not None and max(dataset.labels, default=0) >= num_classes:
        raise InputError(
            f"{dataset.root / 'dataset.json'}: labels up to {max(dataset.labels)}, but the network's num_classes is "
            f"{num_classes}; choose a network trained on these labels."
        )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]


class AtlasSegmentation(RegistrationInference):
    """Segment every image of ``dataset`` and write it to ``output_dir`` as `write_segmentation` does.

    ``files`` lists what was written. For each image a line says which atlas was taken.

    Args:
        network: a `RegistrationNetwork` or `EnsembleNetwork` of three dimensions with ``num_classes``.
        dataset: the images and their atlases.
        more: as of `RegistrationInference`.

    Raises:
        InputError: a network without classes, of two dimensions or with too few classes; weights, input or output that
            cannot be used.
    """

    def __init__(
        self, device: str | torch.device, network: Registering, dataset: ImagesToSegment, *args: Any, **more: Any
    ) -> None:
        classes = getattr(network, "num_classes", None)
        if classes is None:
            raise InputError("the network has no num_classes, so it cannot segment; use vxm_predictive or vxm_weak.")
        check_labels(dataset.atlas_set, classes)
        super().__init__(device, network, dataset, *args, **more)

    def task_of(self, batch: dict[str, Any]) -> Task:
        """The image with its atlas."""
        return batch["task"]

    def write(self, batch: dict[str, Any], pred: Tensor) -> list[Path]:
        """Write the files of a prediction (1, C, *region) and return them."""
        task = batch["task"]
        self._bar.write(f"{task.case.name}: atlas {batch['atlas']}, NLCC {batch['nlcc']:.3f}")
        return write_segmentation(task, pred, self.channels, self.output_dir)


def write_segmentation(task: Task, pred: Tensor, channels: Sequence[str], output_dir: str | Path) -> list[Path]:
    """Write the segmentation, its confidence and the warped atlas on the image's own grid; return the files.

    ``NAME_segmentation`` is the most probable class (uint8), 0 outside of what the network saw. ``NAME_confidence`` is
    1 - u of that class, u being its expected error (predictive, Eq. 6), from 0 to 1; of a network without
    ``label_uncertainty`` it is the class's share in the segmentation, which is no measure of how often it is wrong.
    Outside of what the network saw it is 0. ``NAME_warped`` is the atlas image in [0, 1], as it was prepared.

    Args:
        pred: (1, C, *region.shape), channels as the network names them.

    Raises:
        InputError: a file cannot be written, or would replace an input.
    """
    pred = pred.detach().float().cpu()
    shares = task.place(pred[:, numbered(channels, "segmentation")])
    classes = shares.argmax(1, keepdim=True)
    uncertainties = numbered(channels, "label_uncertainty")
    of_class = 1 - task.place(pred[:, uncertainties], fill=1.0) if uncertainties else shares
    maps = {
        "segmentation": classes.to(torch.uint8),
        "confidence": of_class.gather(1, classes).clamp(0, 1),
        "warped": task.place(pred[:, channels.index("warped")][:, None]),
    }
    names = {f"{task.case.name}_{name}.nii.gz": values for name, values in maps.items()}
    with staged(Path(output_dir), task.case.files) as folder:
        for name, values in names.items():
            save_image(folder / name, task.back(values[:, 0]), task.case.fixed.affine)
    return [Path(output_dir) / name for name in names]
