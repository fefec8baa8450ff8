"""Where a registration looks, measured over patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_registration import blob, grid_around, toy_bundle

from common.errors import InputError
from common.nifti import save_image
from tools.benchmark import __main__ as benchmark

SHAPE, AFFINE = (200, 160, 2), grid_around((200, 160, 2), (1.0, 1.0, 8.0))


def patient(folder: Path, place: float) -> None:
    folder.mkdir(parents=True)
    for frame, x in {"01": place + 2, "09": place}.items():
        texture = 0.1 * np.random.default_rng(0).random(SHAPE).astype(np.float32)
        image = blob(SHAPE, AFFINE, np.array([x, 0.0, 0.0])).array + texture
        save_image(folder / f"{folder.name}_frame{frame}.nii.gz", image, AFFINE)
        save_image(folder / f"{folder.name}_frame{frame}_gt.nii.gz", (image > 20).astype(np.uint8), AFFINE)


def test_a_heart_off_the_middle_is_missed_by_the_middle_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, place in {"patient001": 0.0, "patient002": -80.0}.items():
        patient(tmp_path / "acdc" / name, place)
    bundle = toy_bundle(tmp_path / "toy", 2, crop_size=64, center="auto")
    benchmark.main(["region", "--acdc", str(tmp_path / "acdc"), "--bundle", str(bundle)])
    said = capsys.readouterr().out.splitlines()
    assert "patient002" in said[1] and "middle 100.00 % unseen" in said[1] and "auto 0.00 % unseen" in said[1]
    assert "toy, 2 patients" in said[2]
    unseen = {line.split()[0]: line for line in said[3:6]}
    assert "1 above 20 %" in unseen["middle"] and "0 above 0 %" in unseen["auto"] and "0 above 0 %" in unseen["label"]
    assert float(said[6].removeprefix("ratio region_toy ")) > 1


def test_a_folder_without_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no patientNNN with two labelled frames"):
        benchmark.main(["region", "--acdc", str(tmp_path), "--bundle", str(toy_bundle(tmp_path / "toy", 2))])
