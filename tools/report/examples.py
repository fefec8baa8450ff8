"""The example pairs that evaluate keeps for figures, and their 2D views."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from common.data.prepared import TRUTH_KEYS
from common.errors import InputError
from common.spatial import jacobian_determinant

REQUIRED = ("moving", "fixed", "warped", "ddf")
OPTIONAL = ("moving_label", "fixed_label", "warped_label", "segmentation", "uncertainty")


@dataclass(frozen=True, eq=False)
class Example:
    """One pair as one method sees it: images and maps (*spatial), fields (D, *spatial) in voxels.

    ``uncertainty_name`` says what ``uncertainty`` holds ("log_variance", "score", "displacement_log_variance",
    "ddf_variance", or "label_uncertainty", the sum over the classes); ``segmentation`` is the most likely label where a
    method predicts labels; ``path`` (steps, *spatial) is the moving image along a continuous deformation; ``truth_*``
    and what a method or a data set has not are None.
    """

    id: str
    moving: np.ndarray
    fixed: np.ndarray
    warped: np.ndarray
    ddf: np.ndarray
    moving_label: np.ndarray | None = None
    fixed_label: np.ndarray | None = None
    warped_label: np.ndarray | None = None
    segmentation: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    uncertainty_name: str | None = None
    path: np.ndarray | None = None
    jacobian: np.ndarray | None = None
    truth_displacement: np.ndarray | None = None
    truth_variance: np.ndarray | None = None
    truth_non_correspondence: np.ndarray | None = None

    @property
    def predicted_label(self) -> np.ndarray | None:
        """The label that counts: what the method predicts, else the warped one."""
        return self.warped_label if self.segmentation is None else self.segmentation

    def with_truth(self, arrays: Mapping[str, np.ndarray]) -> Example:
        """Return the example with what a prepared data set knows of its truth."""
        return replace(self, **{f"truth_{key}": arrays[key] for key in TRUTH_KEYS if key in arrays})

    def view(self) -> Example:
        """Return the example in 2D: itself, or the slice along the last axis with most label (else the middle one).

        Of a 3D field the two in-plane components remain; its Jacobian determinant is that of the whole map.
        """
        if self.fixed.ndim == 2:
            return replace(self, jacobian=_jacobian(self.ddf))
        # a lone slice has no difference along the last axis
        jacobian = _jacobian(self.ddf) if self.fixed.shape[-1] > 1 else _jacobian(self.ddf[:2, ..., 0])[..., None]
        k = self._slice()
        fields = ("ddf", "truth_displacement")
        names = (*REQUIRED, *OPTIONAL, "path", *(f"truth_{key}" for key in TRUTH_KEYS))
        maps = [name for name in names if name not in fields]
        cut = {name: getattr(self, name)[..., k] for name in maps if getattr(self, name) is not None}
        cut |= {name: getattr(self, name)[:2, ..., k] for name in fields if getattr(self, name) is not None}
        # forward differences have one value fewer along each axis
        return replace(self, **cut, jacobian=jacobian[..., min(k, jacobian.shape[-1] - 1)])

    def _slice(self) -> int:
        if self.fixed_label is None or not self.fixed_label.any():
            return self.fixed.shape[-1] // 2
        return int((self.fixed_label > 0).sum(axis=(0, 1)).argmax())


def _jacobian(ddf: np.ndarray) -> np.ndarray:
    """Return |J| of the map, (*(spatial - 1))."""
    return jacobian_determinant(torch.from_numpy(ddf.astype(np.float32))[None])[0].numpy()


def read_examples(path: Path) -> list[Example]:
    """Read ``examples.npz`` of an evaluation; no file means no examples.

    Raises:
        InputError: the file is damaged, lacks an array, or its arrays do not fit one another.
    """
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(str(arrays["meta"]))
        ids = [str(each) for each in meta["ids"]]
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not the examples of an evaluation ({error}); evaluate again.") from None
    return [_example(path, n, each, arrays, meta.get("uncertainty")) for n, each in enumerate(ids)]


def _example(path: Path, n: int, pair: str, arrays: Mapping[str, np.ndarray], uncertainty: str | None) -> Example:
    missing = [name for name in REQUIRED if f"{n}/{name}" not in arrays]
    if missing:
        raise InputError(f"{path}: pair {pair!r} has no {missing[0]}; evaluate again.")
    found = {name: arrays[f"{n}/{name}"] for name in (*REQUIRED, *OPTIONAL) if f"{n}/{name}" in arrays}
    spatial = _spatial(path, pair, found["ddf"])
    fitted = {name: _fit(path, pair, name, array, spatial) for name, array in found.items()}
    path_of = arrays.get(f"{n}/path")
    if path_of is not None and path_of.shape[1:] != spatial:
        raise InputError(
            f"{path}: path of pair {pair!r} is {list(path_of.shape)}, not (steps, *spatial); evaluate again."
        )
    return Example(id=pair, path=path_of, **fitted, uncertainty_name=uncertainty if "uncertainty" in fitted else None)


def _spatial(path: Path, pair: str, ddf: np.ndarray) -> tuple[int, ...]:
    """Return the grid of a field (..., D, *spatial) with D axes."""
    for dims in (3, 2):
        if ddf.ndim > dims and ddf.shape[-dims - 1] == dims:
            return ddf.shape[-dims:]
    raise InputError(f"{path}: ddf of pair {pair!r} is {list(ddf.shape)}, not (D, *spatial); evaluate again.")


def _fit(path: Path, pair: str, name: str, array: np.ndarray, spatial: tuple[int, ...]) -> np.ndarray:
    """Drop leading axes of length one that a batch or a channel left, and check the shape."""
    wanted = (len(spatial), *spatial) if name == "ddf" else spatial
    extra = array.ndim - len(wanted)
    if array.shape[max(extra, 0) :] != wanted or any(n != 1 for n in array.shape[: max(extra, 0)]):
        raise InputError(f"{path}: {name} of pair {pair!r} is {list(array.shape)}, not {list(wanted)}; evaluate again.")
    return array.reshape(wanted)
