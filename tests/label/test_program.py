"""The program that starts the server, and its demo: what can be tried without MONAI Label."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from documents import curls

from common.errors import InputError
from common.spatial import warp
from tools import label
from tools.label_app.bundles import bundle_folders
from tools.label_app.demo import FRAMES, cine_of
from tools.render import BUNDLES

ROOT = BUNDLES.parent


def test_bundles_go_by_name_or_folder() -> None:
    folders = bundle_folders(["vxm_hetero", f" {BUNDLES / 'vxm_adacs'}", ""])
    assert folders == {name: (BUNDLES / name).resolve() for name in ("vxm_hetero", "vxm_adacs")}


@pytest.mark.parametrize(
    ("models", "line"),
    [
        ("", "no bundles to serve"),
        ("nobody", "nobody: no bundle"),
        ("dfm_mi", "no models/model.pt"),
        (f"vxm_hetero,{BUNDLES / 'vxm_hetero'}", "a second bundle of the name vxm_hetero"),
    ],
)
def test_what_cannot_be_served_is_refused(models: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        bundle_folders(models.split(","))


def test_a_studies_folder_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label, "find_spec", lambda _: object())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(InputError, match="no such folder"):
        label.main(["--studies", str(tmp_path / "none"), "--bundles", "vxm_hetero", "--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_without_monai_label_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(InputError, match="make label"):
        label.main(["--output", str(tmp_path)])


def test_only_this_machine_may_ask_unless_told_otherwise() -> None:
    hosts = [label.parser().parse_args(words).host for words in ([], ["--host", "0.0.0.0"])]
    assert hosts == ["127.0.0.1", "0.0.0.0"]


def test_hosts_are_named_by_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = label.parser().parse_args(["--hosts", "lab7.example", "10.0.0.7"])
    assert options.hosts == ["lab7.example", "10.0.0.7"] and options.upload_mb == 1024
    monkeypatch.setattr(label, "find_spec", lambda _: object())
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(InputError, match="--hosts http://lab7"):
        label.main(["--studies", str(tmp_path), "--output", str(tmp_path / "out"), "--hosts", "http://lab7"])


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5"),
        ("0.0.0.0", "http://127.0.0.1:5"),
        ("::", "http://[::1]:5"),
        ("::1", "http://[::1]:5"),
        ("lab7", "http://lab7:5"),
    ],
)
def test_where_this_machine_asks_its_server(host: str, url: str) -> None:
    assert label.url_of(host, 5) == url


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        (
            "Traceback\ncommon.errors.InputError: model.pt: weights of another network\n",
            "^model.pt: weights of another",
        ),
        ("ERROR: [Errno 98] error while attempting to bind on 8000\nbye\n", "^error while attempting to bind on 8000$"),
        ("bye\n", "see there why"),
    ],
)
def test_a_server_that_ends_at_once_says_why(tmp_path: Path, printed: str, line: str) -> None:
    (tmp_path / "server.log").write_text(printed)
    ended = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    ended.wait()
    with pytest.raises(InputError, match=line):
        label.wait_until_ready(ended, "http://127.0.0.1:9", tmp_path / "server.log")


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: cannot be used"):
            label.refuse_taken("127.0.0.1", port)
    label.refuse_taken("127.0.0.1", port)
    with pytest.raises(InputError, match="cannot be used"):
        label.refuse_taken("127.0.0.1", 99999)


def test_the_stand_in_is_on_the_path_where_torchvision_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for there in (True, False):
        monkeypatch.setattr(label, "_imports", lambda _, there=there: there)
        path = label.environment(tmp_path)["PYTHONPATH"]
        assert str(label.ROOT) in path and (str(label.APP / "standin") in path) is not there
    spec = importlib.util.spec_from_file_location("utils", label.APP / "standin" / "torchvision" / "utils.py")
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    for name in ("make_grid", "save_image"):
        with pytest.raises(ImportError, match="torchvision"):
            getattr(utils, name)(torch.zeros(1))


def test_our_app_is_made_apart_from_its_source(tmp_path: Path) -> None:
    before = sorted(label.APP.rglob("*.py"))
    app = label.make_app("warpsure", {}, tmp_path)
    assert (app / "main.py").read_text() == (label.APP / "main.py").read_text() and (app / "model").is_dir()
    assert sorted(label.APP.rglob("*.py")) == before and not (label.APP / "model").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="another --output"):
        label.make_app("warpsure", {}, tmp_path / "out")


@pytest.mark.parametrize("app", label.APPS)
def test_the_lines_to_type_name_images_that_are_there(tmp_path: Path, app: str) -> None:
    for name in ("x_ED", "x_ES", "x_cine"):
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 1)), np.eye(4)), tmp_path / f"{name}.nii.gz")
    lines = label.usage("http://here", app, ["vxm_hetero"], tmp_path).splitlines()
    assert len(lines) == (5 if app == "warpsure" else 3)
    assert "image=x_ED" in lines[1] and "image=x_cine" in lines[2]
    assert json.loads(lines[1].split("params=")[1].split("'")[0]) == {"fixed": "x_ES"}


def test_the_demo_cine_beats_once() -> None:
    where = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij"))
    moving = torch.exp(-(((where - 15) / 6) ** 2).sum(0))
    ddf = 3 * torch.ones_like(where)
    cine = cine_of(moving.numpy(), ddf.numpy())
    middle = warp(moving[None, None], ddf[None])[0, 0].numpy()
    assert cine.shape == (32, 32, FRAMES)
    assert np.allclose(cine[..., 0], moving, atol=0.06) and np.allclose(cine[..., -1], moving, atol=0.06)
    assert np.allclose(cine[..., FRAMES // 2], middle, atol=0.06)
    differences = np.square(cine - cine[..., :1]).mean((0, 1))
    assert differences.argmax() == FRAMES // 2


def test_the_page_has_the_lines_that_the_program_prints(tmp_path: Path) -> None:
    for kind in ("ED", "ES", "cine"):
        (tmp_path / f"phantom0_{kind}.nii.gz").touch()
    printed = label.usage("http://127.0.0.1:8000", "warpsure", ["vxm_hetero"], tmp_path).splitlines()[1:]
    assert printed == curls((ROOT / "docs" / "monai-label.md").read_text("utf-8"))
