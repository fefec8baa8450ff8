"""Requests that lead elsewhere or mean nothing: one line, nothing written or removed, and the server lives on.

Without MONAI Label it is skipped.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from forms import form_of

Server = Any  # of conftest.py
IMAGE = gzip.compress(nib.Nifti1Image(np.arange(48.0).reshape(4, 4, 3), np.eye(4)).to_bytes())
LABEL = gzip.compress(nib.Nifti1Image(np.eye(4, dtype=np.uint8)[..., None], np.eye(4)).to_bytes())
DETACHED = b"ObjectType = Image\nNDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\nElementDataFile = /etc/hostname\n"
LIST = "datastore_v2.json"
DEEP = '{"a":' * 50 + "1" + "}" * 50
PAIR = {"fixed": "phantom0_ES"}

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(find_spec("monailabel") is None, reason="monailabel is missing; see requirements-label.txt"),
]


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def victim(studies: Path) -> Path:
    """A folder beside the studies, which some requests aim at, and a link out of the studies into it."""
    folder = studies.parent / "victim"
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for name in ("precious.nii.gz", "labels/precious.nii.gz", "linked.nii.gz"):
        (folder / name).write_bytes(IMAGE)
    (folder / "meta.info").write_text(json.dumps({"name": "victim", "image": "/nowhere", "path": str(folder)}))
    if not (studies / "linked.nii.gz").exists():
        (studies / "linked.nii.gz").symlink_to(folder / "linked.nii.gz")
    return folder


def upload(path: str, field: str, name: str, content: bytes, **fields: str) -> dict[str, Any]:
    return {"method": "PUT", "path": path, "files": {field: (name, content)}, "fields": fields}


def infer(query: str = "image=phantom0_ED", model: str = "vxm_hetero", **params: Any) -> dict[str, Any]:
    return {"method": "POST", "path": f"/infer/{model}?output=json&{query}", "fields": {"params": json.dumps(params)}}


def text(params: str) -> dict[str, Any]:
    return {"method": "POST", "path": "/infer/vxm_hetero?image=phantom0_ED", "fields": {"params": params}}


def train(**params: Any) -> dict[str, Any]:
    return {"method": "POST", "path": "/train/vxm_hetero", "json": json.dumps(params)}


def plain(method: str, path: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "path": path, **more}


NAMES = ["../victim/precious", "/VICTIM/precious", "..%2Fvictim%2Fprecious", "..%5Cvictim", "a%00b", "..", ".lock",
         "a" * 5000, "C:%5Cx", "%20", "x%0Ay"]  # fmt: skip
HOSTILE = [
    *(upload(f"/datastore/?image={name}", "file", "x.nii.gz", IMAGE) for name in NAMES),
    *(upload(f"/datastore/label?image=phantom0_ED&tag={tag}", "label", "x.nii.gz", LABEL) for tag in NAMES),
    *(plain("DELETE", f"/datastore/?id={name}") for name in NAMES),
    *(plain("DELETE", f"/datastore/label?id=phantom0_ED&tag={tag}") for tag in NAMES),
    *(plain("GET", f"/datastore/image?image={name}") for name in NAMES[:4]),
    *(plain("GET", f"/datastore/label?label=phantom0_ED&tag={tag}") for tag in NAMES[:4]),
    *(infer(f"image={name}", **PAIR) for name in NAMES),
    *(infer(f"session_id={name}", **PAIR) for name in ("../victim", "/VICTIM", "..%2F..%2Fvictim", "..")),
    *(plain("DELETE", f"/session/{name}") for name in ("..%2Fvictim", "%2e%2e", "/VICTIM", "..%5Cvictim")),
    plain("DELETE", "/datastore/image?id=ok&id=../victim/precious"),
    plain("DELETE", "/datastore/image?id=nobody"),
    plain("DELETE", "/datastore/?id=linked"),
    upload("/datastore/?image=linked", "file", "x.nii.gz", IMAGE),
    upload("/datastore/image?image=phantom0_ED", "file", "x.nii.gz", b"no image"),
    upload("/datastore/image?image=new", "file", "x.nii.gz", IMAGE[:60]),
    upload("/datastore/image?image=new", "file", "x.txt", b"text"),
    upload("/datastore/image?image=new", "file", "x.mha", DETACHED),
    upload("/datastore/image?image=new", "file", "x.mhd", DETACHED),
    upload("/datastore/image?image=new", "file", "x.nrrd", b"NRRD0004\ndata file: /etc/hostname\n\n"),
    upload("/datastore/image", "file", "../victim/precious.nii.gz", IMAGE),
    upload("/datastore/image", "file", ".nii.gz", IMAGE),
    upload("/datastore/image?image=new", "file", f"{'x' * 400}.nii.gz", IMAGE),
    upload("/datastore/image?image=new", "other", "x.nii.gz", IMAGE),
    upload("/datastore/image?image=new", "file", "x.nii.gz", bytes(9 << 20)),
    upload("/datastore/image?image=new", "file", "x.nii.gz", IMAGE, params="[1]"),
    upload("/datastore/image?image=new", "file", "x.nii.gz", IMAGE, params="{"),
    upload("/datastore/label?image=phantom0_ED", "label", "x.nii.gz", b"no image"),
    upload("/datastore/label?image=nobody", "label", "x.nii.gz", LABEL),
    upload("/session/", "files", "x.nii.gz", b"no image"),
    upload("/session/?uncompress=true", "files", "x.zip", b"PK"),
    upload("/datastore/image/info?image=phantom0_ED", "file", "x.nii.gz", IMAGE),
    plain("PUT", "/datastore/image/info?image=phantom0_ED", fields={"info": '{"strategy": 5}'}),
    plain("PUT", "/datastore/image/info?image=phantom0_ED", fields={"info": "null"}),
    plain("PUT", "/datastore/image/info?image=nobody", fields={"info": "{}"}),
    plain("PUT", "/datastore/label/info?label=phantom0_ED&tag=none", fields={"info": "{}"}),
    plain("PUT", "/datastore/updatelabelinfo?label=phantom0_ED&tag=final", fields={"params": "[" * 3000}),
    plain("HEAD", "/datastore/image?image=phantom0_ED&check_sum=XXX:1"),
    plain("GET", "/datastore/?output=everything"),
    *(text(params) for params in ("[1]", "5", "null", "{", '{"fixed": NaN}', "[" * 5000, '"x"', DEEP)),
    *(infer(**PAIR, device=value) for value in ("foo", 5, ["cpu", 5], {"a": 1}, "cuda:99", "/dev/null", True)),
    *(infer(**PAIR, logging=value) for value in ("foo", 5, None, "", ["INFO"], {})),
    *(infer(**PAIR, model_filename=value) for value in (5, {}, "../model.pt", "/etc/passwd", "LICENSE", None, [])),
    *(infer(fixed=value) for value in (5, [], {}, "../phantom0_ES", "/etc/passwd", "a\0b", "x" * 300, "\ud800")),
    *(infer("image=phantom0_cine", fixed_frame=value) for value in (
        True, 1.5, "late", [4], {}, -1, 10**30, "4" * 5000)),
    *(infer(**PAIR, center=value) for value in ({}, [[1]], 5, [1, 2, 3, 4], "x" * 500, "a,b")),
    *(infer(**PAIR, result=value) for value in (5, {}, [[]], "../x")),
    *(infer(**PAIR, format=value) for value in ({}, 5, [[]], "mp3")),
    *(infer(**PAIR, **{key: value}) for key, value in [
        ("image", "/etc/passwd"), ("model", "nobody"), ("label_tag", "../../x"), ("save_label", "yes"),
        ("result_extension", "/../../x"), ("skip_writer", True), ("bundle_path", "/tmp"), ("timeout", -1)]),
    infer("", **PAIR), infer("output=dicom_seg&image=phantom0_ED", **PAIR), infer(model="..", **PAIR),
    infer("image=phantom0_ED", "nobody", **PAIR),
    *(train(max_epochs=value) for value in (0, -1, 1.5, "x", True, [], float("nan"), 10**9)),
    *(train(batch_size=value) for value in (0, -1, "x", {}, 10**9)),
    *(train(learning_rate=value) for value in (0, -1, "nan", "inf", float("inf"), [], 1e9, True)),
    *(train(pairs=value) for value in ("all", 5, [["a"]], [[1, 2]], [["../a", "b"]], {})),
    train(pretrained=5), train(device="foo"), train(device=[]), train(moving_frame=-1), train(gpus="0; rm"),
    train(model="../x"), train(bundle_path="/tmp"), train(dataset_dir="/etc"),
    *(plain("POST", "/train/vxm_hetero", json=body) for body in ("[]", "null", "{", "5", "NaN")),
    plain("POST", "/train/", json='{"vxm_hetero": {"max_epochs": -1}}'), plain("POST", "/train/", json="[]"),
    plain("POST", "/train/nobody", json="{}"), plain("POST", "/train/..%2Fx", json="{}"),
    plain("POST", "/train/vxm_hetero", body=b"x=1", headers={"Content_Type": "text/plain"}),
    plain("POST", "/activelearning/nobody", json="{}"), plain("POST", "/activelearning/first", json="[]"),
    *(plain(method, path) for method, path in [
        ("GET", "/logs/"), ("GET", "/logs/gpu"), ("POST", "/batch/infer/vxm_hetero"), ("GET", "/batch/infer"),
        ("GET", "/proxy/dicom/wado/x"), ("GET", "/ohif/"), ("GET", "/model/vxm_hetero"), ("PUT", "/model/vxm_hetero"),
        ("DELETE", "/model/vxm_hetero"), ("POST", "/scoring/"), ("POST", "/reload"), ("GET", "/datastore/dataset"),
        ("POST", "/infer/wsi/vxm_hetero?image=phantom0_ED"), ("GET", "/static/../../app.py"), ("PATCH", "/datastore/"),
        ("OPTIONS", "/info/"), ("GET", "/nowhere"), ("GET", "/datastore/../info/"), ("TRACE", "/")]),
    *(plain("GET", "/info/", headers={"Host": host}) for host in (
        "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost@evil.example", "", "127.0.0.1:x",
        "127.0.0.1, evil.example", "[::1", "0.0.0.0", "2130706433")),
    plain("POST", "/train/vxm_hetero", json="{}", headers={"Origin": "http://evil.example"}),
    plain("DELETE", "/datastore/?id=phantom0_ED", headers={"Origin": "null"}),
    plain("DELETE", "/train/", headers={"Origin": "http://127.0.0.1:1"}),
]  # fmt: skip


def snapshot(*folders: Path) -> dict[str, str]:
    """What each file of some folders holds; logs, locks and MONAI Label's list of the studies are its own."""
    files = [path for folder in folders for path in folder.rglob("*")]
    kept = [path for path in files if path.suffix not in (".log", ".lock") and path.name not in (".lock", LIST)]
    return {str(path): hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else "" for path in kept}


def ask(server: Server, request: dict[str, Any], victim: Path) -> tuple[int, bytes]:
    """Send one of the requests above."""
    headers, body = dict(request.get("headers", {})), request.get("body", b"")
    if "json" in request:
        body, headers["Content_Type"] = request["json"].encode(), "application/json"
    elif "fields" in request:
        body, headers["Content_Type"] = form_of(request["fields"], request.get("files"))
    return server.send(request["method"], request["path"].replace("/VICTIM", str(victim)), body, **headers)


@pytest.mark.parametrize(
    ("server", "number"),
    # the guard is the same before both apps
    [("ours", number) for number in range(len(HOSTILE))] + [("stock", number) for number in range(0, len(HOSTILE), 4)],
    indirect=["server"],
)
def test_it_is_refused_in_one_line_and_nothing_is_touched(
    server: Server, victim: Path, studies: Path, number: int
) -> None:
    request, folders = HOSTILE[number], (studies.parent, server.folder, server.folder.parent / "tmp")
    before = snapshot(*folders)
    status, content = ask(server, request, victim)
    assert 400 <= status < 500, (request, content)
    if request["method"] != "HEAD":
        line = json.loads(content)["detail"]
        assert line and "\n" not in line and len(line) < 1200
        assert not any(str(place) in line for place in (studies, server.folder, Path.home(), "site-packages"))
    assert snapshot(*folders) == before, request


@pytest.mark.parametrize("server", ["ours", "stock"], indirect=True)
def test_the_server_has_lived_on_and_knows_the_same_images(server: Server, studies: Path) -> None:
    known = server.json("/datastore/?output=all")["objects"]
    assert set(known) == {path.name.removesuffix(".nii.gz") for path in studies.glob("*.nii.gz")}
    assert server.json("/infer/vxm_hetero?image=phantom0_ED&output=json", PAIR)["folding_percent"] < 2


def test_the_corpus_is_large() -> None:
    assert len(HOSTILE) >= 150
