"""What the pages of the documentation register: stacks of phantoms."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from common.data.phantom import ensure_phantom
from common.data.prepared import read
from common.nifti import save_image

ROLES = {"moving": "ED", "fixed": "ES"}


def write_stacks(folder: Path) -> list[dict[str, str]]:
    """Write ``s1_ED.nii.gz``, ``s1_ED_label.nii.gz`` and so on, of five subjects; return their rows of a table."""
    phantom = read(ensure_phantom(folder.parent / "source", pairs=(6, 0, 0), size=32))
    rows = []
    for number, pair in enumerate(phantom.pairs("train")[:5], start=1):
        for role, phase in ROLES.items():
            for key, ending in ((role, ""), (f"{role}_label", "_label")):
                image = nib.load(phantom.root / pair[key])
                array = np.repeat(np.asarray(image.dataobj).reshape(32, 32, 1), 2, axis=2)
                save_image(folder / f"s{number}_{phase}{ending}.nii.gz", array, image.affine)
        names = {role: f"s{number}_{phase}.nii.gz" for role, phase in ROLES.items()}
        rows.append({"id": f"s{number}", "subject": f"s{number}", **names})
    return rows
