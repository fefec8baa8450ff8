"""A package works from any working directory by every entrance of MONAI, without the repository."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import pytest
import torch
from monai.bundle import ConfigParser

from common.collection.receive import unpack
from common.errors import InputError
from common.io import load_weights
from tools.package.__main__ import main
from tools.package.contents import Package, make
from tools.package.library import SOURCE
from tools.package.writing import write
from tools.render import BUNDLES, bundle_names, results

Isolated = Callable[..., object]
TRAINED = ["vxm_hetero", *(pytest.param(n, marks=pytest.mark.slow) for n in bundle_names() if n != "vxm_hetero")]
RUN = """
import sys
from monai.bundle import run

folder, dataset, checkpoint, moving, fixed = sys.argv[1:]
given = {"device": "cpu", "spatial_dims": 2, "checkpoint": checkpoint}
run("evaluation", config_file=f"{folder}/configs/evaluate.json", dataset_dir=dataset, split="val", output_dir="val",
    **given)
run("inference", config_file=f"{folder}/configs/inference.yaml", moving=moving, fixed=fixed, output_dir="out", **given)
assert not {"common", "tools"} & set(sys.modules)
"""
LOAD = """
import sys
import torch
from monai.bundle import load, verify_net_in_out

folder, name, image, output = sys.argv[1:]
network = load(name, bundle_dir=folder, workflow_type="inference", device="cpu").eval()
with torch.no_grad():
    torch.save(network(torch.load(image)), output)
configs = f"{folder}/{name}/configs"
verify_net_in_out("network_def", f"{configs}/metadata.json", f"{configs}/inference.json", device="cpu")
assert type(network).__module__.startswith("warpsure_") and not {"common", "tools"} & set(sys.modules)
"""
EXPORT = """
import sys
import torch
from monai.bundle import ckpt_export

folder, image, output = sys.argv[1:]
ckpt_export(config_file=f"{folder}/configs/inference.json", bundle_root=folder, filepath="model.ts")
with torch.no_grad():
    torch.save(torch.jit.load("model.ts").eval()(torch.load(image)), output)
"""
BOTH = """
import sys
import torch
from monai.bundle import load

name, image, output, *folders = sys.argv[1:]
networks = [load(name, bundle_dir=folder, workflow_type="inference", device="cpu").eval() for folder in folders]
with torch.no_grad():
    torch.save([network(torch.load(image)) for network in networks], output)
assert len({type(network) for network in networks}) == len(networks)
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An input of a 2D network, as a file."""
    torch.save(torch.rand(2, 2, 32, 48, generator=torch.Generator().manual_seed(0)), tmp_path / "image.pt")
    return tmp_path / "image.pt"


def prediction(name: str, image: Path) -> torch.Tensor:
    """What the bundle of the repository makes of ``image``."""
    folder = BUNDLES / name
    parser = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "inference.yaml"))
    network = load_weights(parser.get_parsed_content("network_def"), folder / "models" / "model.pt").eval()
    with torch.no_grad():
        return network(torch.load(image, weights_only=True))


def folder_of(name: str, unpacked: dict[str, Path], scratch: Path) -> Path:
    """The package of ``name``, unpacked."""
    return unpacked[name] if name in unpacked else unpack(write(make(name), scratch / "zip")[0], scratch / "unpacked")


@pytest.mark.parametrize("name", TRAINED)
def test_it_trains_evaluates_and_registers(
    name: str, unpacked: dict[str, Path], isolated: Isolated, tiny_dataset: Path, tmp_path: Path
) -> None:
    folder, work = folder_of(name, unpacked, tmp_path), tmp_path / "work"
    work.mkdir()
    command = ["-P", "-m", "monai.bundle", "run", "training", "--config_file", folder / "configs" / "train.yaml"]
    command += ["--max_epochs", 1, "--batch_size", 4, "--dataset_dir", tiny_dataset, "--output_dir", "run"]
    ended = isolated([*command, "--spatial_dims", 2, "--device", "cpu"], work)
    assert ended.returncode == 0, ended.stderr
    pair = [tiny_dataset / "images" / f"pair16_{each}.nii.gz" for each in ("moving", "fixed")]
    ended = isolated(["-P", "-c", RUN, folder, tiny_dataset, "run/model.pt", *pair], work)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((work / "val" / "metrics.json").read_text())["pairs"] == 4
    warped = list((work / "out").rglob("*_warped.nii.gz"))
    assert len(warped) == 1 and nib.load(warped[0]).shape == nib.load(pair[0]).shape
    assert sorted(os.listdir(work)) == ["out", "run", "val"] and "runs" not in os.listdir(folder)


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("network#integration_step", "network#integration_steps"),
        pytest.param("max_epoch", "max_epochs", marks=pytest.mark.slow),
    ],
)
def test_a_misspelt_override_is_refused(
    override: str, nearest: str, unpacked: dict[str, Path], isolated: Isolated, tmp_path: Path
) -> None:
    configs = unpacked["vxm_hetero"] / "configs"
    shutil.copytree(configs.parent, tmp_path / "copied")  # and from within its configs
    command = ["-P", "-m", "monai.bundle", "run", "training", "--config_file", "train.yaml", f"--{override}", 3]
    ended = isolated(command, tmp_path / "copied" / "configs")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"error: --{override}: no such setting in train.yaml; did you mean --{nearest}?"
    )


def test_what_is_whole_is_verified_and_what_is_changed_is_not(
    packages: dict[str, Package], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write(packages["vxm_hetero"], tmp_path)[0]
    folder = unpack(archive, tmp_path / "unpacked")
    main(["verify", str(archive), str(folder)])
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "whole, every file as its list says"
    ] * 2
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    main(["verify", str(archive), "--sha256", digest.upper()])
    for path, given in ((archive, "0123"), (folder, digest)):
        with pytest.raises(InputError, match=f"not the file with SHA-256 {given}; fetch it again"):
            main(["verify", str(path), "--sha256", given])
    (folder / "configs" / "train.yaml").write_text("a: 1")
    with pytest.raises(InputError, match=re.escape("configs/train.yaml")):
        main(["verify", str(folder)])


def test_it_is_found_from_within_its_configs(unpacked: dict[str, Path], isolated: Isolated) -> None:
    folder = unpacked["vxm_hetero"]
    code = "import sys; from monai.bundle import ConfigWorkflow as W; w = W('train.yaml', logging_file=False)"
    code += "; w.parser['initialize'] = ['$@bundle_root']; print(w.initialize()[0])"
    ended = isolated(["-P", "-c", code], folder / "configs")
    assert ended.stdout.splitlines()[-1] == str(folder), ended.stderr


@pytest.mark.parametrize(
    "name", ["vxm_hetero", *(pytest.param(n, marks=pytest.mark.slow) for n in ("vxm_diff", "tsm_hetero", "dfm_adacs"))]
)
def test_it_loads_with_its_weights(
    name: str, unpacked: dict[str, Path], isolated: Isolated, image: Path, tmp_path: Path
) -> None:
    folder = folder_of(name, unpacked, tmp_path)
    assert results(name)
    ended = isolated(["-P", "-c", LOAD, folder.parent, folder.name, image, tmp_path / "out.pt"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True), prediction(name, image))


def test_it_is_exported_as_torchscript(
    unpacked: dict[str, Path], isolated: Isolated, image: Path, tmp_path: Path
) -> None:
    ended = isolated(["-P", "-c", EXPORT, unpacked["vxm_hetero"], image, tmp_path / "out.pt"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert torch.allclose(
        torch.load(tmp_path / "out.pt", weights_only=True), prediction("vxm_hetero", image), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("content", [b"import os; os.abort()\n", b"\x80\x02weights\xff"])
def test_a_file_of_weights_beside_it_is_not_run(
    content: bytes, unpacked: dict[str, Path], isolated: Isolated, image: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(unpacked["vxm_hetero"], tmp_path / "ü b" / unpacked["vxm_hetero"].name)
    (folder / "mine.pth").write_bytes(content)
    ended = isolated(["-P", "-c", LOAD, folder.parent, folder.name, image, tmp_path / "out.pt"], tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_two_versions_of_the_library_do_not_mix(
    packages: dict[str, Package], unpacked: dict[str, Path], isolated: Isolated, image: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(SOURCE, tmp_path / "common")
    file = other / "networks" / "registration.py"
    old, new = "*segmentation, warped], dim=1)", "*segmentation, warped + 7], dim=1)"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    changed = make("vxm_hetero", source=other)
    assert changed.name == packages["vxm_hetero"].name and changed.files.keys() != packages["vxm_hetero"].files.keys()
    folder = unpack(write(changed, tmp_path)[0], tmp_path / "changed")
    folders = [unpacked["vxm_hetero"].parent, folder.parent]
    ended = isolated(["-P", "-c", BOTH, folder.name, image, tmp_path / "out.pt", *folders], tmp_path)
    assert ended.returncode == 0, ended.stderr
    plain, seven = torch.load(tmp_path / "out.pt", weights_only=True)
    assert torch.equal(plain, prediction("vxm_hetero", image))
    assert torch.equal(seven[:, :-1], plain[:, :-1]) and torch.equal(seven[:, -1], plain[:, -1] + 7)


def test_the_repository_is_out_of_reach(isolated: Isolated, tmp_path: Path) -> None:
    for module in ("common", "tools"):
        assert "the repository has leaked" in isolated(["-P", "-c", f"import {module}"], tmp_path).stderr
