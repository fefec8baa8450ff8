"""Pairs of a studies folder as a prepared data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monailabel.interfaces.datastore import Datastore

from common.data import prepared
from common.errors import InputError
from common.serving.parameters import whole_number
from common.serving.studies import frames_of
from tools.prepare import cine, pairs, sources
from tools.prepare.cases import Case, Result, Settings
from tools.prepare.own_data import convert_cases

SIZE_2D = (128, 128)  # what registration looks at too


def prepare_studies(datastore: Datastore, request: dict[str, Any], output: Path, spatial_dims: int) -> Path:
    """Write the pairs that a request of training means to ``output``, split by subject, and return it.

    Args:
        datastore: of the studies: ids to files.
        request: ``pairs`` ([moving id, fixed id], ...; the moving id stands for the subject), or else ``moving_frame``
            and ``fixed_frame`` of every cine; see `TrainingTask`.

    Raises:
        InputError: an unknown id or frame, no pairs, pairs of a single subject, or files that cannot be used.
    """
    cases = _listed(datastore, request["pairs"]) if request.get("pairs") else _of_cines(datastore, request)
    if len({case.subject for case in cases}) < 2:
        raise InputError(
            f"{len(cases)} pairs of fewer than two subjects: training needs one to train on and one to validate on; "
            "add cines (i, j, k, t) to the studies, or give `pairs`, [[moving id, fixed id], ...]."
        )
    parser = argparse.ArgumentParser()
    sources.pairs(parser)
    source = str(Path(cases[0].root))
    args = parser.parse_args(["--source", source, "--output", str(output), "--jobs", "1", "--name", "studies"])
    args.spatial_dims, args.size = spatial_dims, SIZE_2D if spatial_dims == 2 else None
    convert_cases(args, cases, convert, [])
    return prepared.read(output).root


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Convert two frames of a cine, or two files."""
    return (cine if "moving_frame" in case.more else pairs).convert(case, output, settings)


def _listed(datastore: Datastore, listed: Any) -> list[Case]:
    if not isinstance(listed, list) or not all(isinstance(p, list) and len(p) == 2 for p in listed):
        raise InputError(f"pairs is {listed!r}; give [[moving id, fixed id], ...].")
    files = [[_file(datastore, name) for name in pair] for pair in listed]
    return [
        Case(f"{number:03d}_{moving}", moving, {"moving": str(paths[0]), "fixed": str(paths[1])}, str(paths[0].parent))
        for number, ((moving, _), paths) in enumerate(zip(listed, files, strict=True))
    ]


def _of_cines(datastore: Datastore, request: dict[str, Any]) -> list[Case]:
    paths = {name: _file(datastore, name) for name in sorted(datastore.list_images())}
    counts = {name: frames_of(path) for name, path in paths.items()}
    cases = []
    for name, count in counts.items():
        if count is None:
            continue
        moving = _frame(request, "moving_frame", count, name) or 0
        fixed = _frame(request, "fixed_frame", count, name)
        frames = {"moving_frame": moving, "fixed_frame": _other(paths[name], moving) if fixed is None else fixed}
        if frames["fixed_frame"] == moving:
            raise InputError(f"{name}: frame {moving} would be both moving and fixed; give two.")
        files = dict.fromkeys(("moving", "fixed"), str(paths[name]))
        cases.append(Case(name, name, files, str(paths[name].parent), more=frames))
    return cases


def _file(datastore: Datastore, name: Any) -> Path:
    path = datastore.get_image_uri(name) if isinstance(name, str) else ""
    if not path:
        raise InputError(f"no image {name!r} among the studies; GET /datastore/?output=all lists them.")
    return Path(path)


def _frame(request: dict[str, Any], key: str, count: int, name: str) -> int | None:
    value = request.get(key)
    if value in (None, ""):
        return None
    frame = whole_number(value)
    if frame is None or not 0 <= frame < count:
        raise InputError(f"{name}: {key} is {value!r}, but its frames are 0 to {count - 1}.")
    return frame


def _other(path: Path, moving: int) -> int:
    """The frame that differs most from ``moving``: of a heart that starts at end diastole, the end of systole."""
    frames = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    return int(np.square(frames - frames[..., moving : moving + 1]).mean(axis=(0, 1, 2)).argmax())
