"""What the pages tell people to type works: every command is taken, and those of the tutorials are run.

They are run in a folder of their own, on the phantom, in the short form that `SHORT` states: as they stand they take
minutes to hours. ACDC, CAMUS, Sunnybrook and the Decathlon are not at hand, so converting them is not run.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from documents import blocks, commands, take_words
from stacks import write_stacks

from common.data.phantom import ensure_phantom
from common.nifti import save_image
from common.overrides import read_settings

ROOT = Path(__file__).resolve().parent.parent.parent
SHORT = (
    (r"warpsure prepare phantom(?!.*dims 3)", "--pairs 8,2,2 --size 32"),
    (r"warpsure prepare phantom.*dims 3", "--pairs 2,1,1 --size 32,32,16"),
    (r"monai\.bundle run training", "--max_epochs 1 --device cpu"),
    (r"warpsure search", "--override max_epochs=1 device=cpu --space smooth_weight=0.02"),
    (r"warpsure train-all .*--dataset", "--override max_epochs=1 device=cpu --seeds 0"),
    (r"warpsure cine", "--draws 3"),
    (r"warpsure benchmark band", "--subjects 2"),
)
PROGRAMS = ("register.md", "refinement.md", "cine.md", "packaging.md", "monai-label.md")
NOT_AT_HAND = re.compile(
    r"warpsure prepare (acdc|camus|msd|pairs --source Sunnybrook|check data/acdc)|transmorph\.pt|^make "
)


@pytest.fixture(scope="module")
def texts(texts: dict[str, str]) -> dict[str, str]:
    """Every page but the one whose files and commands tests/test_newcomer.py tries in a copy of the repository."""
    return {name: text for name, text in texts.items() if name != "extending.md"}


def short(command: str) -> str:
    """The short form of a command."""
    added = [more for pattern, more in SHORT if re.search(pattern, command)]
    return re.sub(r"(train_mine\.py \w+) \d+", r"\1 4", " ".join([command, *added]))


def test_every_page_of_the_tutorials_has_commands(texts: dict[str, str]) -> None:
    assert sum(map(len, map(commands, texts.values()))) > 30
    assert all(commands(text) for name, text in texts.items() if name.startswith("tutorials/"))


def test_every_program_takes_the_words_shown(texts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in sorted({c for text in texts.values() for c in commands(text) if c.startswith("warpsure ")}):
        take_words(command, monkeypatch)


def test_every_bundle_has_the_config_and_the_settings_shown(
    texts: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, code in [block for text in texts.values() for block in blocks(text, "python") if block[0]]:
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = {c for text in texts.values() for c in commands(text) if "monai.bundle" in c}
    for command in sorted(wanted):
        words = shlex.split(command)[3:]
        options = dict(zip(words[2::2], words[3::2]))
        config = options.pop("--config_file")
        files = [str(ROOT / file) for file in (ast.literal_eval(config) if config[0] == "[" else [config])]
        read_settings(files, {"run_id": words[1]} | {key.removeprefix("--"): v for key, v in options.items()})


def test_other_commands_are_known(texts: dict[str, str]) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in {c for text in texts.values() for c in commands(text)}:
        program, *words = shlex.split(command)
        assert program in ("python", "warpsure") or (program == "make" and words[0] in targets), command


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with what the pages speak of: stacks of five subjects with labels, their table, two cines, a beat."""
    folder = tmp_path
    (folder / "bundles").symlink_to(ROOT / "bundles")
    rows = write_stacks(folder / "images")
    with (folder / "images" / "pairs.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    ed, es, label = (nib.load(folder / f"images/s1_{name}.nii.gz") for name in ("ED", "ES", "ED_label"))
    beat = np.stack([image.get_fdata() for image in (ed, es, ed)], axis=-1)
    save_image(folder / "images/beat.nii.gz", beat, ed.affine)
    save_image(folder / "images/beat_label.nii.gz", np.asarray(label.dataobj), ed.affine)
    for name in ("a", "b"):
        frames = np.random.default_rng(0).random((32, 32, 2, 5)).astype(np.float32)
        save_image(folder / f"cines/{name}.nii.gz", frames, np.diag([1.5, 1.5, 8, 1]))
    return folder


def run(lines: list[str], texts: list[str], folder: Path) -> None:
    """Run commands in ``folder``, with the Python files that the pages hold."""
    for name, code in [block for text in texts for block in blocks(text, "python") if block[0]]:
        (folder / name).write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    driver = [sys.executable, str(Path(__file__).with_name("run_commands.py"))]
    ended = subprocess.run(
        driver, input="\n".join(lines), cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-6000:]
    assert ended.stdout.count("\n$ ") + ended.stdout.startswith("$ ") == len(lines)


def runnable(text: str) -> list[str]:
    return [short(command) for command in commands(text) if not NOT_AT_HAND.search(command)]


def test_the_commands_on_own_data_run(texts: dict[str, str], workplace: Path) -> None:
    lines = [line for line in runnable(texts["tutorials/own-data.md"]) if "warpsure search" not in line]
    run(lines, [], workplace)
    assert (workplace / "results" / "hetero.html").is_file()
    names = {path.name.removeprefix("s1_ED_").split(".")[0] for path in (workplace / "registered").glob("*_*_*")}
    assert {"warped", "warped_label", "field", "inverse_field", "log_variance", "jacobian", "seen"} < names


def test_the_commands_to_fine_tune_run(texts: dict[str, str], workplace: Path) -> None:
    lines = [
        line
        for line in runnable(texts["tutorials/fine-tuning.md"])
        if not re.search("warpsure (train-all|comp|bench)", line)
    ]
    run(lines, [], workplace)
    encoder = "estimator.backbone.encoder."
    frozen, tuned, begun = (
        torch.load(workplace / path, weights_only=True)
        for path in ("runs/frozen/model.pt", "runs/tuned/model.pt", "bundles/vxm_hetero/models/model.pt")
    )
    same = {key: torch.equal(frozen[key], begun[key].float()) for key in begun}
    assert all(equal == key.startswith(encoder) for key, equal in same.items())
    assert not any(torch.equal(tuned[key], begun[key].float()) for key in begun)


def test_the_commands_on_an_own_network_run(texts: dict[str, str], workplace: Path) -> None:
    page = texts["tutorials/own-network.md"]
    run(runnable(page), [page], workplace)
    assert (workplace / "my_adacs.pt").is_file() and (workplace / "results" / "mine.html").is_file()


@pytest.mark.filterwarnings("ignore")
def test_the_commands_of_the_programs_run(texts: dict[str, str], workplace: Path) -> None:
    lines = [line for name in PROGRAMS for line in runnable(texts[name])]
    run(lines, [], workplace)
    for name in ("pair/s1_ED.json", "packaged/s1_ED.json", "back.nii.gz", "cine/beat_cine.gif", "vxm_hetero.onnx"):
        assert (workplace / "out" / name).is_file(), name


@pytest.mark.slow
def test_the_commands_to_reproduce_run(texts: dict[str, str], workplace: Path) -> None:
    """With the phantom in the place of ACDC."""
    ensure_phantom(workplace / "data" / "acdc", pairs=(8, 2, 2), size=32)
    lines = runnable(texts["tutorials/reproduce.md"])
    if not find_spec("SimpleITK"):
        lines = [line.removesuffix(" demons") for line in lines]
    run(lines, [], workplace)
    assert (workplace / "results" / "acdc" / "compare.html").is_file()


@pytest.mark.slow
def test_the_other_commands_run(texts: dict[str, str], workplace: Path) -> None:
    """One training of each method, and what the reference shows."""
    ensure_phantom(workplace / "data" / "phantom", pairs=(8, 2, 2), size=32)
    ensure_phantom(workplace / "data" / "mine3d", spatial_dims=3, pairs=(2, 1, 1), size=(32, 32, 16))
    rest = [text for name, text in texts.items() if not name.startswith("tutorials/") and name not in PROGRAMS]
    others = [command for text in rest for command in runnable(text)]
    labels = [re.sub(r"data/mine\b", "data/mine3d", c) if re.search("vxm_(weak|predictive)", c) else c for c in others]
    run([re.sub(r"data/mine\b", "data/phantom", c) for c in labels], list(texts.values()), workplace)
