"""The wheel: one package, which does all that the checkout does where there is no checkout, and does it alike.

Other Pythons are tried where ``WARPSURE_PYTHONS`` names them: interpreters that have requirements.txt, as in a PATH.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ring_cine import SCALES, ring

from common import __version__
from tools import register, warp
from tools.cine.__main__ import main as cine
from tools.package.contents import make
from tools.package.writing import write

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = "vxm_hetero_disp"
OTHERS = [path for path in os.environ.get("WARPSURE_PYTHONS", "").split(os.pathsep) if path]
PYTHONS = [sys.executable, *(pytest.param(path, marks=pytest.mark.slow) for path in OTHERS)]
NO_PART = {ROOT: ("tests", "docs", "build", "results", ".*")} | {
    bundle: ("data", "runs", "eval") for bundle in (ROOT / "bundles").iterdir()
}
QUIET = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and what it needs, without the checkout; ``cwd`` is where a user works."""

    folder: Path
    cwd: Path

    def run(self, *words: object, status: int = 0) -> str:
        """What a program of the environment says: on stdout, or on stderr if it is to fail."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        program, *rest = map(str, words)
        command = [str(self.folder / "bin" / program), *rest]
        ended = subprocess.run(
            command, cwd=self.cwd, env=kept | QUIET, capture_output=True, text=True, timeout=600, check=False
        )
        assert ended.returncode == status, ended.stderr[-4000:]
        return ended.stderr if status else ended.stdout

    @property
    def package(self) -> Path:
        """The installed package's folder."""
        return next(self.folder.glob("lib/python3.*/site-packages/warpsure"))


def pip(*words: object) -> None:
    """Have this environment's pip do something."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, words)], check=True, timeout=600)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from."""
    folder = tmp_path_factory.mktemp("source") / "warpsure"

    def left_out(at: str, names: list[str]) -> set[str]:
        return shutil.ignore_patterns("__pycache__", *NO_PART.get(Path(at), ()))(at, names)

    return shutil.copytree(ROOT, folder, ignore=left_out)


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel; building it changes nothing but build/."""
    folder, before = tmp_path_factory.mktemp("wheel"), set(source.rglob("*"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    assert {path for path in source.rglob("*") if not path.is_relative_to(source / "build")} == before
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    """What the wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module", params=PYTHONS)
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own, beside the libraries of the Python that is asked for."""
    python, folder = request.param, tmp_path_factory.mktemp("environment")
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    libraries = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, timeout=600)
    site = next(folder.glob("lib/python3.*/site-packages"))
    (site / "libraries.pth").write_text(
        libraries
    )  # the .pth files in there, such as that of the checkout, are not read
    pip("--python", folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    return Installed(folder, tmp_path_factory.mktemp("cwd"))


@pytest.fixture(scope="module")
def phantom(installed: Installed) -> Path:
    """A data set that the installed command has made."""
    installed.run("warpsure", "prepare", "phantom", "--output", "phantom", "--pairs", "4,2,2", "--size", "32,32")
    return installed.cwd / "phantom"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Moving and fixed image, and the moving label map: of a ring, in an oblique plane."""
    folder, affine = tmp_path_factory.mktemp("pair"), np.diag([-1.4, 1.4, 8, 1])
    (moving, label), (fixed, _) = ring(48, SCALES[0]), ring(48, SCALES[2])
    for name, array in (("moving", moving), ("fixed", fixed), ("label", label)):
        nib.save(nib.Nifti1Image(array[..., None], affine), folder / f"{name}.nii.gz")
    return [str(folder / f"{name}.nii.gz") for name in ("moving", "fixed", "label")]


def texts(files: dict[str, bytes], *endings: str) -> Iterator[tuple[str, str]]:
    """The texts of the package with these endings."""
    return ((name, content.decode()) for name, content in files.items() if name.endswith(endings))


def test_the_wheel_holds_one_package_and_all_of_it(files: dict[str, bytes], source: Path) -> None:
    assert {name.split("/")[0] for name in files} == {"warpsure", f"warpsure-{__version__}.dist-info"}
    expected = {"tools": "warpsure/tools", "bundles": "warpsure/bundles", "common": "warpsure"}
    for folder, inside in expected.items():
        kept = {path.relative_to(source / folder) for path in (source / folder).rglob("*") if path.is_file()}
        assert {f"{inside}/{path.as_posix()}" for path in kept} - {"warpsure/tools/editable/__init__.py"} <= set(files)
    held = {name for name in files if name.split("/")[1] in ("tools", "bundles")}
    assert not [name for name in held if not (source / name.removeprefix("warpsure/")).is_file()]
    assert "warpsure/py.typed" in files and sum(map(len, files.values())) < 100e6  # of a file, for PyPI


def test_nothing_in_the_wheel_names_the_folders_of_the_checkout(files: dict[str, bytes]) -> None:
    checkout = re.compile(r"(?<![\w./-])(common(?=\.[a-z])|tools(?=\.[a-z]))|\b(import|from) (common|tools)\b")
    for name, text in texts(files, ".py", ".yaml", ".json", ".html", ".md"):
        assert not (found := checkout.search(text)), f"{name}: {text[found.start() : found.start() + 60]!r}"


def test_the_library_in_the_wheel_is_the_checkout_s_as_it_is(files: dict[str, bytes], source: Path) -> None:
    for path in (source / "common").rglob("*.py"):
        assert files[f"warpsure/{path.relative_to(source / 'common').as_posix()}"] == path.read_bytes(), path


def test_every_import_of_the_wheel_s_own_is_there(files: dict[str, bytes]) -> None:
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name, _ in texts(files, ".py")}
    for name, text in texts(files, ".py"):
        for node in ast.walk(ast.parse(text, name)):
            named = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert {each for each in named if each.split(".")[0] == "warpsure"} <= modules, name


def test_the_checkout_cannot_be_imported(installed: Installed) -> None:
    looked = (
        "import importlib.util as u, warpsure; print(u.find_spec('common'), u.find_spec('tools'), warpsure.__file__)"
    )
    assert installed.run("python", "-c", looked).split() == ["None", "None", str(installed.package / "__init__.py")]
    assert installed.run("warpsure", "--version") == f"warpsure {__version__}\n"


@pytest.mark.parametrize("words", [["render"], ["tables"], ["ship", "--runs", "runs", "--bundle", "vxm_mse"]])
def test_what_needs_the_repository_says_so(installed: Installed, words: list[str]) -> None:
    (line,) = installed.run("warpsure", *words, status=1).splitlines()
    assert line.startswith(f"error: {words[0]}: changes the repository")


def test_a_registration_is_that_of_the_checkout_and_of_its_bundle(
    installed: Installed, pair: list[str], tmp_path: Path
) -> None:
    moving, fixed, label = pair
    given = [moving, fixed, "--label", label, "--bundle", BUNDLE, "--name", "pair", "--output"]
    register.main([*given, str(tmp_path / "checkout")])
    installed.run("warpsure", "register", *given, tmp_path / "wheel")
    where = installed.run("warpsure", "where", BUNDLE).strip()
    assert where == str(installed.package / "bundles" / BUNDLE)
    config, images = f"{where}/configs/inference.yaml", ["--moving", moving, "--fixed", fixed, "--moving_label", label]
    words = ["-m", "monai.bundle", "run", "inference", "--config_file", config, *images]
    installed.run("python", *words, "--output_dir", tmp_path / "bundle")
    from_python = "import sys, warpsure as w; w.register(*sys.argv[1:3], label=sys.argv[3]).save(sys.argv[4], 'pair')"
    installed.run("python", "-c", from_python, *pair, tmp_path / "python")
    expected = voxels(tmp_path / "checkout")
    assert {"field", "warped", "warped_label", "uncertainty_mm"} <= expected.keys()
    for other in ("wheel", "bundle", "python"):
        found = voxels(tmp_path / other)
        assert expected.keys() <= found.keys()
        assert not [name for name in expected if not np.array_equal(found[name], expected[name], equal_nan=True)]


def voxels(folder: Path) -> dict[str, np.ndarray]:
    """The images of one pair: what they are -> their voxels."""
    return {path.name.split("_", 1)[1].split(".")[0]: nib.load(path).get_fdata() for path in folder.rglob("*_*.nii.gz")}


def test_a_field_carries_a_label_as_in_the_checkout(installed: Installed, pair: list[str], tmp_path: Path) -> None:
    moving, fixed, label = pair
    register.main([moving, fixed, "--bundle", BUNDLE, "--name", "pair", "--output", str(tmp_path)])
    given = [str(tmp_path / "pair_field.nii.gz"), label, "--label", "--output"]
    warp.main([*given, str(tmp_path / "checkout.nii")])
    installed.run("warpsure", "warp", *given, tmp_path / "wheel.nii")
    assert (tmp_path / "wheel.nii").read_bytes() == (tmp_path / "checkout.nii").read_bytes()


def test_a_package_is_that_of_the_checkout_byte_for_byte(installed: Installed, source: Path, tmp_path: Path) -> None:
    names = ("vxm_hetero", "vxm_predictive")
    installed.run("warpsure", "package", *names, "--output", tmp_path / "wheel")
    for name in names:
        made = make(name, bundles=source / "bundles", source=source / "common")
        (path,) = write(made, tmp_path / "checkout")
        assert (tmp_path / "wheel" / path.name).read_bytes() == path.read_bytes()


def test_an_installed_bundle_trains_into_the_user_s_folder(installed: Installed, phantom: Path) -> None:
    before = sorted(installed.package.rglob("*"))
    config = installed.package / "bundles" / "vxm_mse" / "configs" / "train.yaml"
    words = ["-m", "monai.bundle", "run", "training", "--config_file", config, "--dataset_dir", phantom]
    installed.run("python", *words, "--max_epochs", 1)
    assert (installed.cwd / "vxm_mse" / "runs" / "train" / "model.pt").is_file()
    assert sorted(installed.package.rglob("*")) == before


def test_a_campaign_runs_in_processes_of_its_own(installed: Installed, phantom: Path) -> None:
    what = ["--bundles", "vxm_mse", "--seeds", 0, "--override", "max_epochs=1"]
    installed.run("warpsure", "train-all", "--dataset", phantom, "--output", "runs", *what)
    found = json.loads(next((installed.cwd / "runs" / "vxm_mse").rglob("metrics.json")).read_text())
    assert found["pairs"] == 2


@pytest.mark.slow
def test_methods_are_compared(installed: Installed, phantom: Path) -> None:
    rows = ["undeformed", "vxm_mse", "vxm_hetero"]
    installed.run("warpsure", "compare", "--dataset", phantom, "--output", "compared", *rows)
    page = (installed.cwd / "compared" / "compare.html").read_text()
    assert all(name in page for name in rows)
    evaluations = [str(path.parent) for path in (installed.cwd / "compared").rglob("metrics.json")]
    installed.run("warpsure", "report", "--evaluations", *evaluations, "--dataset", phantom, "--output", "report.html")
    assert (installed.cwd / "report.html").is_file()


@pytest.mark.slow
def test_a_cine_is_followed_as_in_the_checkout(installed: Installed, tmp_path: Path) -> None:
    made, affine = [ring(48, scale) for scale in SCALES], np.diag([1.5, 1.5, 8, 1])
    for name, kind in (("cine", 0), ("labels", 1)):
        frames = np.stack([each[kind] for each in made], -1)[:, :, None]
        nib.save(nib.Nifti1Image(frames, affine), tmp_path / f"{name}.nii.gz")
    given = [str(tmp_path / "cine.nii.gz"), "--bundle", BUNDLE, "--label", str(tmp_path / "labels.nii.gz")]
    given += ["--wall", "2", "--cavity", "3", "--frame-time", "40", "--output"]
    cine([*given, str(tmp_path / "checkout")])
    installed.run("warpsure", "cine", *given, tmp_path / "wheel")
    expected, found = (voxels(tmp_path / name) for name in ("checkout", "wheel"))
    assert all(np.array_equal(found[name], expected[name], equal_nan=True) for name in expected)
    tables = [(tmp_path / name / "cine_frames.csv").read_text() for name in ("checkout", "wheel")]
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_a_network_is_exported(installed: Installed) -> None:
    installed.run("warpsure", "export", "--bundle", "vxm_hetero", "--output", "network.ts")
    assert (installed.cwd / "network.ts").stat().st_size > 1e5
