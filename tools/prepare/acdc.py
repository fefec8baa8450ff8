"""ACDC: cine MRI of the heart, end diastole to end systole (Bernard et al., IEEE TMI 2018)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.data.prepared import Dataset
from common.errors import InputError
from common.grids import centre_start, start_around

from .aligning import aligned, asked
from .build import build
from .cases import Case, Result, Settings
from .framing import Frame, read_frame_of_one_grid, result_of, write_frame
from .layouts import find_patients
from .volumes import NIFTI, BrokenInput

HELP = "ACDC, ED to ES; patients whose number 5 divides are val, the others train"
LABELS = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
MYOCARDIUM = 2
LAYOUT = "patientNNN folders (patientNNN/Info.cfg, patientNNN_frameNN.nii.gz)"


def run(args: argparse.Namespace) -> None:
    """Convert ACDC."""
    size = tuple(args.size) * 2 if len(args.size) == 1 else tuple(args.size)
    if len(size) != 2:
        raise InputError(f"--size {size}: ACDC takes the two in-plane numbers; slices are set by --depth")
    cases = find_cases(args.source, ("training",))
    if args.test_source:
        cases += find_cases(args.test_source, ("testing", "training"), "test")
    volume = args.spatial_dims == 3
    settings: Settings = {
        "spatial_dims": args.spatial_dims, "size": [*size, args.depth] if volume else [*size],
        "spacing": args.spacing if volume else None, "centre": args.crop_center, "percentiles": args.percentiles,
        **asked(args),
    }  # fmt: skip
    name, evaluated = ("ACDC 3D", tuple(LABELS)) if volume else ("ACDC", (MYOCARDIUM,))  # as the papers of either do
    about = Dataset(
        args.output, name, args.spatial_dims, LABELS, evaluated, "CC BY-NC-SA 4.0", "Bernard et al., 2018", "MR",
        _policy(settings),
    )  # fmt: skip
    build(args, about, cases, convert, settings)


def find_cases(source: Path, prefer: Sequence[str], split: str | None = None) -> list[Case]:
    """Return a case a patient; the numbers that 5 divides are val unless ``split`` is given."""
    cases = []
    for folder in find_patients(source, r"patient\d{3}", prefer, LAYOUT):
        rule = "train" if int(folder.name.removeprefix("patient")) % 5 else "val"
        files = {"info": str(folder / "Info.cfg")}
        for path in sorted(folder.iterdir()):
            if path.name.endswith(NIFTI) and "_frame" in path.name:
                files[path.name.split(".")[0].split("_", 1)[1]] = str(path)  # "frame01", "frame01_gt"
        cases.append(Case(folder.name, folder.name, files, str(source), split or rule))
    return cases


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Crop, normalise and write a patient's two frames."""
    roles, group = _roles(case)
    files = {key: case.files[role] for key, role in roles.items() if role in case.files}
    dims = settings["spatial_dims"]
    native = read_frame_of_one_grid(files, dims)
    if settings.get("align_slices"):
        native = aligned(native, files["fixed"])
    frame = native.resampled(settings["spacing"])
    size = [*settings["size"], frame.shape[2]][:3]
    start = _crop_start(native, frame, size, settings["centre"], case)
    frame = frame.cropped(start, size).normalised(dims, tuple(settings["percentiles"]))
    paths = {key: case.native(roles[key]) for key in ("moving", "fixed")}
    entry = {"subject": case.subject, "group": group, "native": {**paths, **frame.native()}}
    return result_of(frame, write_frame(frame, output, case.name, entry, dims))


def read_info(path: str | Path) -> dict[str, str]:
    """Read the ``key: value`` lines of Info.cfg."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BrokenInput(f"{path}: cannot be read ({reason}); restore it or pass --skip-broken") from error
    return {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}


def _roles(case: Case) -> tuple[dict[str, str], str]:
    """Return which file is what, and the pathology group: moving is end diastole, fixed end systole."""
    info, folder = read_info(case.files["info"]), Path(case.files["info"]).parent
    roles = {}
    for key, phase in (("moving", "ED"), ("fixed", "ES")):
        if not info.get(phase, "").isdigit():
            raise BrokenInput(
                f"{case.files['info']}: {phase} is {info.get(phase)!r}, expected a frame's number; "
                "repair it or pass --skip-broken"
            )
        frame = f"frame{int(info[phase]):02d}"
        if frame not in case.files:
            raise BrokenInput(
                f"{folder}: no {case.name}_{frame}.nii.gz, which is the {phase} "
                "frame by Info.cfg; restore it or pass --skip-broken"
            )
        roles |= {key: frame, f"{key}_label": f"{frame}_gt"}
    return roles, info.get("Group", "")


def _crop_start(
    native: Frame, frame: Frame, size: Sequence[int], centre: str | list[int], case: Case
) -> tuple[int, ...]:
    """Return where the crop starts on ``frame``; in 3D the slices are centred on the volume's middle."""
    depth = centre_start(frame.shape[2:], size[2:])
    if centre == "image":
        return (*centre_start(frame.shape[:2], size[:2]), *depth)
    point = _myocardium(native, case) if centre == "label" else np.asarray(centre, dtype=float)
    if frame.resampled_shape:
        point = (np.linalg.inv(frame.affine) @ native.affine @ [*point, 0, 1])[:2]
    return (*start_around(point, size[:2]), *depth)


def _myocardium(frame: Frame, case: Case) -> np.ndarray:
    """Return the in-plane centroid of the middle slice's ED myocardium, or of the nearest slice that has any."""
    folder = Path(case.files["info"]).parent
    if "moving_label" not in frame.arrays:
        raise BrokenInput(
            f"{folder}: {case.name} has no ED label to centre the crop on; pass --crop-center image or I,J"
        )
    mask = frame.arrays["moving_label"] == MYOCARDIUM
    with_any = np.flatnonzero(mask.any(axis=(0, 1)))
    if not with_any.size:
        raise BrokenInput(
            f"{folder}: {case.name} has no myocardium (label {MYOCARDIUM}) at ED to centre "
            "the crop on; pass --crop-center image or I,J"
        )
    middle = with_any[np.argmin(np.abs(with_any - mask.shape[2] // 2))]
    return np.argwhere(mask[:, :, middle]).mean(axis=0)


def _policy(settings: Settings) -> str:
    around = {"label": "the centroid of the middle slice's ED myocardium", "image": "the middle of the image"}
    where = around.get(str(settings["centre"])) or f"voxel {settings['centre']}"
    size = "x".join(map(str, settings["size"]))
    if settings["spacing"] is None:
        return f"native in-plane spacing, {size} crop around {where}, zero padded"
    spacing = "x".join(f"{s:g}" for s in settings["spacing"])
    how = f"{'slices aligned, ' if settings.get('align_slices') else ''}resampled to {spacing} mm"
    return f"{how}, {size} crop around {where}, zero padded"
