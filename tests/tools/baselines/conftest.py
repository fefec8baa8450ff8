"""An engine that does what the first voxel of the moving image tells it, and a data set to run it on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from common.data.prepared import Dataset, write
from common.nifti import save_image

FRAGILE = """
import ctypes, os, time
from dataclasses import dataclass
import numpy as np

PACKAGE = "numpy"
DEEDS = {DEEDS}

@dataclass(frozen=True)
class Settings:
    shift: float = 1.0
    cured: bool = False

def load():
    pass

def register(moving, fixed, settings):
    with open({log!r}, "a") as file:
        file.write("called\\n")
    deed = DEEDS[int(moving.flat[0])]
    if settings.cured:
        deed = "work"
    if deed == "exit":
        os._exit(3)
    if deed == "segfault":
        ctypes.string_at(0)
    if deed == "hang":
        time.sleep(600)
    if deed == "raise":
        raise RuntimeError("no\\nsuch   luck")
    field = np.full((fixed.ndim, *fixed.shape), settings.shift, np.float32)
    return field * np.nan if deed == "nan" else field
"""
DEEDS = ("work", "exit", "segfault", "hang", "raise", "nan")
packages = itertools.count()


class Fragile:
    """The package of the engine ``fragile``, and how often it has been called."""

    def __init__(self, folder: Path) -> None:
        self.package, self.log = f"fragile_engines_{next(packages)}", folder / "calls.txt"
        (folder / self.package).mkdir()
        (folder / self.package / "__init__.py").touch()
        text = FRAGILE.format(DEEDS=DEEDS, log=str(self.log))
        (folder / self.package / "fragile.py").write_text(text)

    @property
    def calls(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.is_file() else 0


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fragile:
    monkeypatch.syspath_prepend(tmp_path)
    return Fragile(tmp_path)


def image_that(deed: str, size: int = 12) -> np.ndarray:
    image = np.zeros((size, size), np.float32)
    image[3:8, 4:9] = 0.5
    image[0, 0] = DEEDS.index(deed)
    return image


@pytest.fixture
def image() -> object:
    """``image(deed)``: a moving image that makes the engine do it."""
    return image_that


@pytest.fixture
def dataset_of(tmp_path: Path) -> object:
    """``dataset_of(*deeds)``: a prepared set with a pair for each."""

    def make(*deeds: str) -> Path:
        root, pairs = tmp_path / "dataset", []
        for number, deed in enumerate(deeds):
            pair = {"id": f"{number}_{deed}", "subject": f"s{number}", "slice": 0}
            moving = image_that(deed)
            moving[11, 11] = number / 100  # no two pairs are equal
            label = (moving == 0.5).astype(np.uint8)
            arrays = {"moving": moving, "fixed": image_that("work"), "moving_label": label, "fixed_label": label}
            for key, array in arrays.items():
                pair[key] = f"{pair['id']}_{key}.nii.gz"
                save_image(root / pair[key], array[..., None], np.eye(4))
            pairs.append(pair)
        write(Dataset(root, "deeds", 2, {1: "box"}, (1,), splits={"val": pairs}))
        return root

    return make
