"""What programs do with the server goes on working: MONAI Label's own client, and a browser's pages.

Without MONAI Label it is skipped.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

Server = Any  # of conftest.py
pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(find_spec("monailabel") is None, reason="monailabel is missing; see requirements-label.txt"),
    # of MONAI Label's client
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:'cgi' is deprecated:DeprecationWarning"),
]


@pytest.fixture(scope="session", params=["ours", "stock"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Any:
    """What 3D Slicer's extension asks by."""
    from monailabel.client import MONAILabelClient

    return MONAILabelClient(server.url, str(tmp_path), "someone")


def saved(path: Path, array: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 2, 3, 1])), path)
    return path


def soon(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether something holds before long: the server goes on for a while when it has answered."""
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_a_label_is_saved_read_back_and_removed(client: Any, server: Server, studies: Path, tmp_path: Path) -> None:
    label = saved(tmp_path / "made by hand.nii.gz", np.eye(6, dtype=np.uint8)[..., None])
    params = {"label_info": [{"name": "heart", "idx": 1}]}
    answer = client.save_label("phantom1_ES", str(label), tag="second reader", params=params)
    assert answer == {"image": "phantom1_ES", "label": "phantom1_ES"}
    kept = studies / "labels" / "second reader" / "phantom1_ES.nii.gz"
    assert kept.read_bytes() == label.read_bytes()
    back = client.download_label("phantom1_ES", "second reader")
    assert Path(back).read_bytes() == label.read_bytes()
    known = client.datastore()["objects"]["phantom1_ES"]["labels"]["second reader"]["info"]
    assert known["label_info"] == params["label_info"] and known["client_id"] == "someone"
    assert server.send("DELETE", "/datastore/label?id=phantom1_ES&tag=second%20reader")[0] == 200
    assert not kept.exists()


def test_an_image_is_sent_registered_and_removed(client: Any, server: Server, studies: Path, tmp_path: Path) -> None:
    moving = tmp_path / "new one.nii.gz"
    shutil.copy(studies / "phantom0_ED.nii.gz", moving)
    assert client.upload_image(str(moving), "new one")["image"] == "new one"
    image, numbers = client.infer("vxm_hetero", "new one", {"fixed": "phantom0_ES", "device": "cpu"})
    assert nib.load(image).shape == (128, 128, 1) and numbers["folding_percent"] < 2
    assert server.send("DELETE", "/datastore/image?id=new%20one")[0] == 200
    assert not (studies / "new one.nii.gz").exists()
    assert soon(lambda: "new one" not in client.datastore()["objects"])  # it watches the folder


def test_the_next_image_is_told_by_its_name(client: Any, server: Server, studies: Path) -> None:
    sample = client.next_sample("first", {})
    assert sample["path"] == f"{sample['id']}.nii.gz" and (studies / sample["path"]).is_file()
    status, content = server.ask(f"/datastore/image?image={sample['id']}")
    assert status == 200 and content == (studies / sample["path"]).read_bytes()
    assert server.send("HEAD", f"/datastore/image?image={sample['id']}")[0] == 200


def test_a_session_keeps_an_image_for_its_time(client: Any, studies: Path, server: Server) -> None:
    session = client.create_session(str(studies / "phantom0_cine.nii.gz"))
    assert not session["session_info"]["path"].startswith("/")
    asked = {"moving_frame": 0, "fixed_frame": 4}
    image, _ = client.infer("vxm_hetero", "", asked, session_id=session["session_id"])
    assert nib.load(image).shape == (128, 128, 1)
    client.remove_session(session["session_id"])
    assert server.send("GET", f"/session/{session['session_id']}")[0] == 404
    assert not list((server.folder / "sessions").iterdir())


def test_an_image_may_come_with_the_request_and_does_not_stay(client: Any, server: Server, studies: Path) -> None:
    asked = {"moving_frame": 0, "fixed_frame": 4}
    image, _ = client.infer("vxm_hetero", "", asked, file=str(studies / "phantom0_cine.nii.gz"))
    assert nib.load(image).shape == (128, 128, 1)
    folder = server.folder.parent / "tmp"
    assert folder.is_dir() and soon(lambda: not [name for name in names_below(folder) if name.endswith(".nii.gz")])


def names_below(folder: Path) -> list[str]:
    """The files in a folder and all below it; what goes as this looks is passed over."""
    return [name for _, _, names in os.walk(folder) for name in names]


def test_it_is_asked_by_the_names_it_was_given(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    for host in ("localhost", f"LOCALHOST:{port}", "127.0.0.1", f"[::1]:{port}", "lab7.example", "lab7.example."):
        assert server.send("GET", "/info/", Host=host)[0] == 200
    own = {"Origin": server.url, "Content_Type": "application/json"}
    assert server.send("POST", "/activelearning/first", b"{}", **own)[0] == 200


GETS = ["/info/", "/datastore/", "/datastore/?output=all", "/datastore/?output=train", "/openapi.json",
        "/datastore/image/info?image=phantom0_ED", "/datastore/label/info?label=phantom0_ED&tag=final"]  # fmt: skip


@pytest.mark.parametrize("path", GETS)
def test_no_answer_tells_where_things_lie_on_the_machine(server: Server, studies: Path, path: str) -> None:
    content = json.dumps(server.json(path))
    for place in (studies, server.folder, Path.home(), Path(gzip.__file__).parent):
        assert str(place) not in content


def test_a_training_that_fails_says_so_without_its_traceback(ours: Server) -> None:
    ours.json("/train/vxm_hetero", {"pairs": [["phantom0_ED", "nobody"]]}, form=False)
    assert soon(lambda: ours.json("/train/")["status"] == "ERROR", 120)
    text = "\n".join(ours.json("/train/")["details"])
    assert "nobody" in text
    assert "Traceback" not in text and '  File "' not in text
