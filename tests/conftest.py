"""What tests of several folders share: a tiny prepared data set, and bundles run on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from toy_task import make_task, prepare_task

from common.data.prepared import Dataset, write
from common.engines import SingleTrainer
from common.nifti import save_image

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = ROOT / "bundles"
STATUS = pytest.StashKey[int]()
RunBundle = Callable[..., subprocess.CompletedProcess]
MakeTrainer = Callable[..., SingleTrainer]


def make_tiny_dataset(folder: Path, counts: Sequence[int] = (12, 4, 4), size: int = 32, seed: int = 0) -> Path:
    """Write pairs of a ring that contracts, with labels 1 (ring, evaluated) and 2 (cavity)."""
    random, splits, number = np.random.default_rng(seed), {}, 0
    for split, count in zip(("train", "val", "test"), counts):
        splits[split] = [_tiny_pair(folder, number + i, size, random) for i in range(count)]
        number += count
    labels = {1: "ring", 2: "cavity"}
    write(Dataset(folder, "tiny", 2, labels=labels, evaluated_labels=(1,), seed=seed, splits=splits))
    return folder


def _tiny_pair(folder: Path, number: int, size: int, random: np.random.Generator) -> dict[str, Any]:
    name = f"pair{number:02d}"
    centre = size / 2 + random.uniform(-2, 2, 2)
    radius, contraction = size * random.uniform(0.25, 0.3), random.uniform(0.75, 0.85)
    pair: dict[str, Any] = {"id": name, "subject": name, "group": "ring", "slice": 0}
    for key, outer in (("moving", radius), ("fixed", radius * contraction)):
        x, y = np.mgrid[:size, :size]
        distance = np.hypot(x - centre[0], y - centre[1]) / outer
        image = 0.2 + 0.6 * np.exp(-(distance**4)) - 0.3 * np.exp(-((2 * distance) ** 4))
        noisy = np.clip(image + random.normal(0, 0.02, image.shape), 0, 1)
        label = (distance < 1).astype(np.uint8) + (distance < 0.5)
        for field, array in ((key, noisy), (f"{key}_label", label)):
            pair[field] = f"{'labels' if 'label' in field else 'images'}/{name}_{key}.nii.gz"
            save_image(folder / pair[field], array[..., None], np.eye(4))
    return pair


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of 12 training, 4 validation and 4 test pairs of 32 x 32 with labels."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny") / "dataset")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task of the Decathlon, see `toy_task`."""
    return make_task(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def atlas_dir(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a prepared data set of pairs of two subjects."""
    return prepare_task(source, tmp_path_factory.mktemp("atlas") / "toy")


@pytest.fixture(scope="session")
def run_bundle() -> RunBundle:
    """``run_bundle(name, run_id, cwd, **overrides)``: `python -m monai.bundle run` as a user calls it, from ``cwd``.

    ``config`` names the config file, ``files`` further ones after it, ``processes`` starts it through torchrun.
    """

    def run(
        name: str,
        run_id: str,
        cwd: Path,
        config: str = "train.yaml",
        files: Sequence[str | Path] = (),
        processes: int = 0,
        **overrides: Any,
    ) -> subprocess.CompletedProcess:
        configs = [str(BUNDLES / name / "configs" / file) for file in (config, *files)]
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"] * bool(processes)
        command = [sys.executable, "-m", *torchrun, "monai.bundle", "run", run_id, "--config_file", str(configs)]
        for key, value in overrides.items():
            command += [f"--{key}", str(value)]
        paths = os.pathsep.join([str(ROOT), str(cwd)])
        quiet = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "default"}
        return subprocess.run(
            command, cwd=cwd, env=os.environ | quiet, capture_output=True, text=True, timeout=600, check=False
        )

    return run


@pytest.fixture
def make_trainer(tiny_dataset: Path, tmp_path: Path) -> MakeTrainer:
    """``make_trainer(bundle, seed=0, **overrides)``: the trainer of a bundle's train.yaml, in this process.

    It trains on the tiny data set on the CPU in float32, and writes to ``tmp_path``/run.
    """

    def make(name: str, seed: int = 0, **overrides: Any) -> SingleTrainer:
        torch.manual_seed(seed)
        parser = ConfigParser(ConfigParser.load_config_files(BUNDLES / name / "configs" / "train.yaml"))
        fixed = {"dataset_dir": str(tiny_dataset), "output_dir": str(tmp_path / "run"), "device": "cpu"}
        parser.update({**fixed, "spatial_dims": 2, "precision": "float32", "seed": seed, **overrides})
        return parser.get_parsed_content("train#trainer")

    return make


def pytest_configure() -> None:
    """One thread a process: results do not depend on the machine, and tests can run side by side."""
    torch.set_num_threads(1)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remember how the tests ended."""
    session.config.stash[STATUS] = int(session.exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without taking ITK's libraries down, which now and then crashes after the last test has passed.

    Only where pytest is the program: not in a worker of xdist, nor where more commands follow in the same process.
    """
    is_program = any(Path(word).name == "pytest" for word in sys.orig_argv[:3])
    if is_program and "itk" in sys.modules and STATUS in config.stash:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(config.stash[STATUS])
