"""CAMUS: echocardiography of the heart, end diastole to end systole (Leclerc et al., IEEE TMI 2019)."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.data.prepared import Dataset
from common.errors import InputError

from .build import build
from .cases import Case, Result, Settings
from .framing import read_frame_of_one_grid, result_of, write_frame
from .layouts import find_patients

LABELS = {1: "left ventricle", 2: "myocardium", 3: "left atrium"}
MYOCARDIUM = 2
VIEWS = ("2CH", "4CH")
ENDINGS = (".nii.gz", ".nii", ".mhd", ".mha")
LAYOUT = "patientNNNN folders (patientNNNN/patientNNNN_{2CH,4CH}_{ED,ES}[_gt].nii.gz or .mhd)"


def run(args: argparse.Namespace) -> None:
    """Convert CAMUS."""
    size = tuple(args.size) * 2 if len(args.size) == 1 else tuple(args.size)
    if len(size) != 2:
        raise InputError(f"--size {size}: CAMUS images are 2D; pass two numbers")
    cases = find_cases(args.source)
    if args.test_source:
        cases += find_cases(args.test_source, "test")
    about = Dataset(
        args.output, "CAMUS", 2, LABELS, (MYOCARDIUM,), "CC BY-NC-SA 4.0, non-commercial research",
        "Leclerc et al., 2019", "US", f"stretched to {size[0]}x{size[1]}, each axis with its own scale",
    )  # fmt: skip
    build(args, about, cases, convert, {"size": size, "percentiles": args.percentiles})


def find_cases(source: Path, split: str | None = None) -> list[Case]:
    """Return a case a patient and view; patients go by number: 5k is test, 5k + 1 val, the others train."""
    cases = []
    for folder in find_patients(source, r"patient\d{4}", like=LAYOUT):
        rule = {0: "test", 1: "val"}.get(int(folder.name.removeprefix("patient")) % 5, "train")
        for view in VIEWS:
            name = f"{folder.name}_{view}"
            files = {key: _file(folder, f"{name}_{phase}") for key, phase in (("moving", "ED"), ("fixed", "ES"))}
            labels = {f"{key}_label": _file(folder, f"{name}_{p}_gt") for key, p in (("moving", "ED"), ("fixed", "ES"))}
            files |= {key: path for key, path in labels.items() if Path(path).is_file()}
            cases.append(Case(name, folder.name, files, str(source), split or rule, view))
    return cases


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Stretch, normalise and write the two frames of a view."""
    frame = read_frame_of_one_grid(case.files, 2).resized(settings["size"])
    frame = frame.normalised(2, tuple(settings["percentiles"]))
    native = {**{key: case.native(key) for key in ("moving", "fixed")}, **frame.native()}
    entry = {"subject": case.subject, "group": case.group, "native": native}
    return result_of(frame, write_frame(frame, output, case.name, entry, 2))


def _file(folder: Path, name: str) -> str:
    """Return the file of that name in the first format there is; where there is none, say so when it is read."""
    paths = [folder / f"{name}{ending}" for ending in ENDINGS]
    return str(next((path for path in paths if path.is_file()), paths[0]))
