"""The pairs of an inference run: two files of a user, or a split of a prepared data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data import prepared
from ..errors import InputError
from ..grids import crop_affine, spacing_of
from ..io import read_affine, read_pair, stem
from ..io.pairs import NativePair
from ..registration.region import Framing, Region

NATIVE_KEYS = {"moving", "fixed", "crop_start", "native_shape"}


@dataclass(frozen=True, eq=False)
class Case:
    """One registration: what the network sees, and the native grid that the result goes to.

    Attributes:
        name: what the files are called after; folder: below the output folder.
        image: (S, 2, *region.shape) = [moving, fixed] in [0, 1]; S slices of a stack, 1 in 3D.
        moving: native intensities (i, j) or (i, j, k); moving_label alike or absent.
        affine: (4, 4) of the native grid; region: where ``image`` lies in it.
        spatial_dims: 2 registers (i, j) slice by slice, 3 the volume.
        label: (S, 1, *region.shape), the moving label as the network sees it, or absent.
        covered: (S,) bool, the slices that the moving image reaches; None is all.
    """

    name: str
    folder: str
    image: Tensor
    moving: np.ndarray
    moving_label: np.ndarray | None
    affine: np.ndarray
    region: Region
    spatial_dims: int
    label: Tensor | None = None
    covered: Tensor | None = None

    def network_input(self, network: nn.Module) -> Tensor:
        """What ``network`` takes: ``image``, and for one of three inputs the moving label, zeros without one.

        Raises:
            InputError: a label value that the network has no class for.
        """
        if getattr(network, "inputs", 2) == 2:
            return self.image
        label = torch.zeros_like(self.image[:, :1]) if self.label is None else self.label
        low, high, classes = int(label.min()), int(label.max()), network.num_classes
        if low < 0 or high >= classes:
            value = low if low < 0 else high
            raise InputError(f"{self.name}: the moving label holds {value}, but the network knows 0 to {classes - 1}; "
                             "renumber it, or leave it out.")  # fmt: skip
        return torch.cat([self.image, label.to(self.image)], dim=1)


def to_batch(array: np.ndarray, spatial_dims: int) -> Tensor:
    """Turn an image or stack into (S, 1, i, j), a volume into (1, 1, i, j, k)."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.movedim(2, 0)[:, None] if spatial_dims == 2 and array.ndim == 3 else tensor[None, None]


def case_of(
    pair: NativePair, framing: Framing, spatial_dims: int, name: str, covered: np.ndarray | None = None
) -> Case:
    """Frame a pair of one grid for a network of ``spatial_dims``.

    Args:
        name: what the files are called after.
        covered: bool, as the images: where the moving image is known; None is everywhere.

    Raises:
        InputError: a framing that does not fit, or an image that is constant where the network looks.
    """
    box = framing.boxes(pair.moving.array, pair.fixed.array, spatial_dims)
    cut = [framing.cut(image.array, box) for image in (pair.moving, pair.fixed)]
    for image, values in zip((pair.moving, pair.fixed), cut, strict=True):
        if not values.any():
            where = f"the region at {box[0]} of size {box[1]}"
            raise InputError(f"{image.path}: constant in {where}; choose another center.")
    label = pair.moving_label.array if pair.moving_label else None
    seen, reached = (
        None if each is None else to_batch(framing.cut_label(each, box), spatial_dims) for each in (label, covered)
    )
    return Case(
        name=name,
        folder="",
        image=_image(*cut, spatial_dims),
        moving=pair.moving.array,
        moving_label=label,
        affine=pair.fixed.affine,
        region=framing.region(box),
        spatial_dims=spatial_dims,
        label=None if seen is None else seen.float(),
        covered=None if reached is None else reached.flatten(1).any(1),
    )


class PairsToRegister:
    """The cases of a run; iterating gives ``{"image": (S, 2, *spatial), "case": Case}``.

    Give ``moving`` and ``fixed``, or ``dataset_dir`` and ``split``. No label is needed.

    Args:
        moving, fixed: files on one grid: 2D images, stacks of slices or volumes.
        moving_label: a label map to carry along.
        dataset_dir, split: a prepared data set; each pair gets a folder of its own.
        source: the folder that the data set was prepared from, to write results on the grids of its files; without
            it they are on the prepared grid.
        spatial_dims: of the network.
        framing: where the network looks in ``moving`` and ``fixed``; a prepared data set is framed already.
        name: what the files are called after; None is the moving file's name. Not for a data set.

    Raises:
        InputError: neither files nor a data set, or input that cannot be registered.
    """

    def __init__(
        self,
        moving: str | Path | None = None,
        fixed: str | Path | None = None,
        moving_label: str | Path | None = None,
        dataset_dir: str | Path | None = None,
        split: str = "test",
        source: str | Path | None = None,
        spatial_dims: int = 2,
        framing: Framing | None = None,
        name: str | None = None,
    ) -> None:
        self.spatial_dims, self.framing, self.source = spatial_dims, framing or Framing(), source
        if bool(moving) != bool(fixed):
            raise InputError(f"moving is {moving!r} and fixed is {fixed!r}; give both.")
        self._single: Case | None = None
        if moving and fixed:
            pair = read_pair(moving, fixed, moving_label, spatial_dims)
            self._single = case_of(pair, self.framing, spatial_dims, name or stem(moving))
        elif dataset_dir:
            self.dataset = prepared.read(dataset_dir)
            self.pairs = self.dataset.pairs(split)
            if self.dataset.spatial_dims != spatial_dims:
                raise InputError(
                    f"{dataset_dir}: pairs are {self.dataset.spatial_dims}D but the network is {spatial_dims}D; "
                    "use another bundle or data set."
                )
        else:
            raise InputError("nothing to register; give --moving and --fixed, or --dataset_dir.")

    def __len__(self) -> int:
        return 1 if self._single else len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        case = self._single or self._of_pair(self.pairs[index])
        return {"image": case.image, "case": case}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def _of_pair(self, pair: dict[str, Any]) -> Case:
        arrays = prepared.load_arrays(self.dataset, pair, ("moving", "fixed", "moving_label"))
        shape = arrays["fixed"].shape
        affine = read_affine(self.dataset.root / pair["fixed"])
        if self.spatial_dims == 2:
            affine = crop_affine(affine, (0, 0, int(pair["slice"])))
            arrays = {key: array[..., None] for key, array in arrays.items()}
        image = _image(arrays["moving"], arrays["fixed"], self.spatial_dims)
        moving, label = arrays["moving"], arrays.get("moving_label")
        seen = None if label is None else to_batch(label, self.spatial_dims).float()
        region = Region.box([0] * self.spatial_dims, shape)
        if self.source:
            moving, label, native = self._native(pair)
            region = native_region(pair["native"], shape, affine, native, self.spatial_dims)
            affine = native
        return Case(pair["id"], pair["id"], image, moving, label, affine, region, self.spatial_dims, seen)

    def _native(self, pair: dict[str, Any]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        native = pair.get("native") or {}
        if not set(native) >= NATIVE_KEYS:
            missing = ", ".join(sorted(NATIVE_KEYS - set(native)))
            raise InputError(f"{self.dataset.root}: native of pair {pair['id']} has no {missing}; leave out --source.")
        root = Path(str(self.source))
        label = root / native["moving_label"] if native.get("moving_label") else None
        files = read_pair(root / native["moving"], root / native["fixed"], label, self.spatial_dims)
        moving, affine = files.moving.array, files.fixed.affine
        labels = files.moving_label.array if files.moving_label else None
        if self.spatial_dims == 2 and moving.ndim == 3:
            k = int(pair["slice"]) + int(native["crop_start"][2])
            moving, affine = moving[..., k : k + 1], crop_affine(affine, (0, 0, k))
            labels = None if labels is None else labels[..., k : k + 1]
        return moving, labels, affine


def native_region(
    native: dict[str, Any], shape: Sequence[int], affine: np.ndarray, native_affine: np.ndarray, dims: int
) -> Region:
    """Return where a prepared grid of ``shape`` and ``affine`` lies in its native image.

    ``native`` is that of the prepared pair: the image was resampled about its centre to ``resampled_shape`` (if there
    is one), then cropped at ``crop_start``.
    """
    start = [int(s) for s in native["crop_start"][:dims]]
    if "resampled_shape" not in native:
        return Region.box(start, shape)
    step = [new / old for new, old in zip(spacing_of(affine), spacing_of(native_affine), strict=True)][:dims]
    sizes = zip(native["native_shape"], native["resampled_shape"], start, step, strict=False)
    first = [(old - 1) / 2 + (s - (new - 1) / 2) * t for old, new, s, t in sizes]
    return Region(tuple(first), tuple(step), tuple(shape))


def _image(moving: np.ndarray, fixed: np.ndarray, spatial_dims: int) -> Tensor:
    return torch.cat([to_batch(moving, spatial_dims), to_batch(fixed, spatial_dims)], dim=1)
