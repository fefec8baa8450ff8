"""Real servers on free ports: ours and MONAI Label's own, on one studies folder."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from forms import form_of

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 240
OBLIQUE = np.array([[1.3, -0.4, 0.0, -30], [0.4, 1.3, 0.0, 12], [0.0, 0.0, 7, 40], [0, 0, 0, 1.0]])
VOLUME = np.array([[0.0, 1, 0, -30], [-1, 0, 0, 12], [0, 0, 1, 40], [0, 0, 0, 1]])


@dataclass
class Server:
    """One that runs: ask it."""

    url: str
    process: subprocess.Popen
    folder: Path

    def ask(self, path: str, data: Any = None, form: bool = True) -> tuple[int, bytes]:
        """Return the status and what was sent; ``data`` goes as ``params`` of a form, or as JSON."""
        headers, body = {}, None
        if data is not None and form:
            body, kind = form_of({"params": json.dumps(data)})
            headers = {"Content-Type": kind}
        elif data is not None:
            headers, body = {"Content-Type": "application/json"}, json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Return the status and what was sent; ``path`` goes as it is, and ``headers`` beside the usual ones."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=SECONDS)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str, data: Any = None, form: bool = True) -> Any:
        """What it answers with status 200."""
        status, content = self.ask(path, data, form)
        assert status == 200, content
        return json.loads(content)

    def image(self, tmp_path: Path, model: str, image: str, **params: Any) -> nib.Nifti1Image:
        """The image of an inference."""
        status, content = self.ask(f"/infer/{model}?image={image}&output=image", params)
        assert status == 200, content
        path = tmp_path / f"answer{len(list(tmp_path.iterdir()))}.nii.gz"
        path.write_bytes(content)
        return nib.load(path)


def serve(app: str, bundles: Sequence[str], studies: Path, output: Path) -> Server:
    """Start ``python -m tools.label`` and wait until it says how to ask."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tools.label", "--app", app, "--bundles", *bundles, "--port", str(port),
               "--studies", str(studies), "--output", str(output),
               "--hosts", "lab7.example", "--upload-mb", "8"]  # fmt: skip
    (temporary := output / "tmp").mkdir(parents=True)
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(output / "cache"),
                        "TMPDIR": str(temporary)}  # fmt: skip
    process = subprocess.Popen(command, cwd=output.parent, env=env, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    log = output / app / "logs" / "server.log"
    assert line.startswith("http"), f"{line}{log.read_text()[-3000:] if log.is_file() else ''}"
    return Server(line.split()[0], process, output / app)


def stop(server: Server) -> None:
    """End it, as a service manager does, and see that it has ended."""
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(timeout=30)
    server.process.stdout.close()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            server.ask("/info/")
        except OSError:
            return
        time.sleep(0.2)
    raise AssertionError("the server has outlived its program")


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, an oblique stack ``ob_ED``, ``ob_ES`` of three slices with a label map, volumes, and images of other
    grids: a smaller pair, and one far away."""
    from tools.label_app.demo import make_studies

    folder = tmp_path_factory.mktemp("label") / "studies"
    make_studies(folder)
    for kind in ("ED", "ES"):
        slices = [np.asarray(nib.load(folder / f"phantom{n}_{kind}.nii.gz").dataobj)[..., 0] for n in range(3)]
        nib.save(nib.Nifti1Image(np.stack(slices, -1), OBLIQUE), folder / f"ob_{kind}.nii.gz")
    label = np.asarray(nib.load(folder / "labels" / "final" / "phantom0_ED.nii.gz").dataobj)
    nib.save(nib.Nifti1Image(np.repeat(label, 3, axis=2), OBLIQUE), folder / "labels" / "final" / "ob_ED.nii.gz")
    for name, kind in (("small", "ES"), ("small_ED", "ED")):
        image = nib.load(folder / f"phantom0_{kind}.nii.gz")
        nib.save(image.slicer[:100], folder / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine + 1e4 * np.eye(4, k=3)), folder / "far.nii.gz")
    where = np.stack(np.mgrid[:24, :32, :24], -1)
    for name, radius in (("vol_a", 8), ("vol_b", 7)):
        ball = np.exp(-(((np.linalg.norm(where - (12, 16, 12), axis=-1)) / radius) ** 4)).astype(np.float32)
        nib.save(nib.Nifti1Image(ball, VOLUME), folder / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image((ball > 0.5).astype(np.uint8), VOLUME), folder / "labels" / "final" / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """vxm_diff and vxm_adacs as they are sent to others."""
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "tools.package", "vxm_diff", "vxm_adacs", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return [str(path) for path in sorted(folder.glob("*.zip"))]


@pytest.fixture(scope="session")
def ours(studies: Path, packages: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Our app, with bundles in place and two packages whose libraries are not the repository's."""
    bundles = ["vxm_hetero", "vxm_predictive", "vxm_mse", "vxm_weak", *packages]
    server = serve("warpsure", bundles, studies, tmp_path_factory.mktemp("ours") / "out")
    yield server
    stop(server)


@pytest.fixture(scope="session")
def stock(studies: Path, packages: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MONAI Label's own app, with every pretrained bundle in place, and two packages."""
    server = serve("monaibundle", [*pretrained(), *packages], studies, tmp_path_factory.mktemp("stock") / "out")
    yield server
    stop(server)


def pretrained() -> list[str]:
    """The bundles that have weights."""
    return sorted(path.parent.parent.name for path in (ROOT / "bundles").glob("*/models/model.pt"))
