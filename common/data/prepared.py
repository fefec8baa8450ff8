"""The prepared data set: one folder with ``dataset.json`` and NIfTI files, whatever the source was.

Every file carries the true affine of its grid. With ``spatial_dims`` 2 a file is a stack (H, W, Z) and a pair is
one slice of it; with 3 it is a volume (X, Y, Z). Images are float32 in [0, 1], labels uint8, and
``dataset.json`` is written last: a folder without it is unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import write_bytes
from ..label_values import label_values
from ..nifti import UNREADABLE, load_nifti
from .dataset_schema import FORMAT, faults, is_below
from .names import SPLITS

IMAGE_KEYS = ("moving", "fixed")
LABEL_KEYS = ("moving_label", "fixed_label")
MASK_KEYS = ("moving_mask", "fixed_mask")  # 1 where an image is real, 0 where it was padded
TRUTH_KEYS = ("displacement", "variance", "non_correspondence")

Pairs = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Dataset:
    """What ``dataset.json`` says of the folder ``root``; see :func:`read` and :func:`write`.

    ``preparation`` holds what a new image needs to be prepared in the same way, if the source says so.
    """

    root: Path
    name: str
    spatial_dims: int
    labels: dict[int, str] = field(default_factory=dict)
    evaluated_labels: tuple[int, ...] = ()
    licence: str = "unknown"
    citation: str = ""
    modality: str = ""
    spacing_policy: str = ""
    seed: int = 0
    splits: Pairs = field(default_factory=dict)
    preparation: dict[str, Any] = field(default_factory=dict)

    def pairs(self, split: str) -> list[dict[str, Any]]:
        """Return the pairs of ``split``; raise InputError if there is no such split or it is empty."""
        if pairs := self.splits.get(split):
            return pairs
        known = ", ".join(f"{name} ({len(pairs)})" for name, pairs in self.splits.items() if pairs) or "none"
        raise InputError(f"{self.root / 'dataset.json'}: no pairs in split {split!r}; splits with pairs: {known}")


def read(dataset_dir: str | Path) -> Dataset:
    """Read ``dataset.json``; raise InputError if the folder is missing, unfinished or in another format."""
    path = Path(dataset_dir) / "dataset.json"
    content = _content(path)
    if problem := next(problems_of(path, content), None):
        raise InputError(problem)
    return Dataset(
        root=path.parent,
        name=content["name"],
        spatial_dims=int(content["spatial_dims"]),
        labels={int(value): name for value, name in content.get("labels", {}).items()},
        evaluated_labels=tuple(map(int, content.get("evaluated_labels", ()))),
        splits=content["splits"],
        seed=int(content.get("seed") or 0),
        preparation=content.get("preparation") or {},
        **{key: content.get(key) or "" for key in ("licence", "citation", "modality", "spacing_policy")},
    )


def find_faults(dataset_dir: str | Path) -> list[str]:
    """Everything that makes `read` raise, each in a line that names the file."""
    path = Path(dataset_dir) / "dataset.json"
    try:
        return list(problems_of(path, _content(path)))
    except InputError as error:
        return [str(error)]


def problems_of(path: Path, content: Any) -> Iterator[str]:
    """Each fault of what was read from ``path``, as a line that names it."""
    way_out = "prepare the data set again with `warpsure prepare`"
    return (f"{path}: {fault}; {way_out}" for fault in faults(content))


def _content(path: Path) -> Any:
    """What ``dataset.json`` holds, whatever that is."""
    try:
        if not path.parent.is_dir():
            way_out = "make one with `warpsure prepare`"
            raise InputError(f"{path.parent}: no such folder; {way_out}")
        if not path.is_file():
            raise InputError(
                f"{path.parent}: no dataset.json, so not a finished prepared data set; "
                "run `warpsure prepare`, or run it again if it was stopped"
            )
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: not readable as JSON ({why}); prepare the data set again") from error


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def source_file(dataset: Dataset, source: str | Path, name: str) -> Path:
    """The file called ``name`` below ``source``, which an image of ``dataset`` was prepared from.

    Raises:
        InputError: for a name that leads elsewhere.
    """
    path = Path(source) / name
    if not is_below(path.relative_to(source).as_posix() if path.is_relative_to(source) else name):
        raise InputError(f"{dataset.root / 'dataset.json'}: {name!r} does not lie below {source}; leave out --source.")
    return path


def write(dataset: Dataset) -> None:
    """Write ``dataset.json`` in one step, so that it is either whole or absent."""
    content = {
        "format": FORMAT,
        "name": dataset.name, "licence": dataset.licence, "citation": dataset.citation, "modality": dataset.modality,
        "spatial_dims": dataset.spatial_dims, "spacing_policy": dataset.spacing_policy,
        "labels": {str(value): name for value, name in sorted(dataset.labels.items())},
        "evaluated_labels": list(dataset.evaluated_labels),
        "preparation": dataset.preparation,
        "seed": dataset.seed,
        "splits": {split: dataset.splits.get(split, []) for split in SPLITS},
    }  # fmt: skip
    write_bytes(dataset.root / "dataset.json", (json.dumps(content, indent=1) + "\n").encode())


def read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a NIfTI file of a prepared set: (array, affine); raise InputError naming the file if it cannot be."""
    try:
        image = load_nifti(path)
        return np.asanyarray(image.dataobj), image.affine
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); prepare the data set again") from error


def load_arrays(
    dataset: Dataset, pair: Mapping[str, Any], keys: Sequence[str] = (*IMAGE_KEYS, *LABEL_KEYS)
) -> dict[str, np.ndarray]:
    """Load those of ``keys`` that ``pair`` has, as (H, W) or (X, Y, Z) arrays.

    Images and variance are float32, labels and masks uint8, and the displacement
    float32 (D, *spatial) in voxels on the fixed grid.

    Raises:
        InputError: naming the file that is missing, unreadable, not finite or of another shape.
    """
    arrays: dict[str, np.ndarray] = {}
    for key in keys:
        name = (pair.get("truth") or {}).get(key) if key in TRUTH_KEYS else pair.get(key)
        if name:
            arrays[key] = _load(dataset, pair, key, dataset.root / name)
    shapes = {key: array.shape[-dataset.spatial_dims :] for key, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        first, *others = shapes
        odd = next(key for key in others if shapes[key] != shapes[first])
        raise InputError(
            f"{dataset.root}: pair {pair['id']}: {odd} is {shapes[odd]} but {first} is {shapes[first]}; "
            "prepare the data set again"
        )
    return arrays


def _load(dataset: Dataset, pair: Mapping[str, Any], key: str, path: Path) -> np.ndarray:
    is_label = key in (*LABEL_KEYS, *MASK_KEYS, "non_correspondence")
    if dataset.spatial_dims == 2:
        array = _slice(path, _stack(path, _changed(path)), int(pair["slice"]))
    else:
        array = read_image(path)[0]
    if array.dtype.kind not in "buif":
        raise InputError(f"{path}: {key} of pair {pair['id']} holds {array.dtype}, not numbers; prepare it again")
    values = label_values(array, f"{path}: pair {pair['id']}", 0, 255) if is_label else array
    array = np.array(values, dtype=np.uint8 if is_label else np.float32, order="C")
    if key == "displacement":
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    rank = dataset.spatial_dims + (key == "displacement")
    if array.ndim != rank:
        raise InputError(f"{path}: {key} of pair {pair['id']} has {array.ndim} axes, expected {rank}")
    if not is_label and not np.isfinite(array).all():
        raise InputError(f"{path}: {key} of pair {pair['id']} holds NaN or infinite values; prepare it again")
    return array


def _slice(path: Path, stack: np.ndarray, index: int) -> np.ndarray:
    if stack.ndim == 2:
        stack = stack[:, :, None]
    if not 0 <= index < stack.shape[2]:
        raise InputError(f"{path}: slice {index} asked for, but the stack has {stack.shape[2]}; prepare it again")
    return stack[:, :, index]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); prepare the data set again") from error


@lru_cache(maxsize=8)
def _stack(path: Path, _changed_at: int) -> np.ndarray:
    """Keep the last few stacks: consecutive pairs are slices of the same files."""
    return read_image(path)[0]
