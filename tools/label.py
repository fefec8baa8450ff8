"""Start a MONAI Label server of our bundles, and say how to ask it.

    warpsure label                                              # demo images, two bundles, our own app
    warpsure label --studies FOLDER --bundles vxm_hetero_disp mine.zip
    warpsure label --app monaibundle --bundles vxm_hetero       # the app that comes with MONAI Label

The server answers this machine alone unless --host says otherwise, by no other name than those of --hosts, and asks
nothing of the network. MONAI Label keeps a list of the images and their labels in the studies folder. A bundle is code:
serve only bundles that you trust.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import common
from common.errors import InputError, say_in_one_line
from common.io.formats import ITK, NIFTI
from common.options import Parser, add_bundles, add_output, positive, program
from common.serving.hosts import EVERYONE, LOCAL, trusted_hosts
from common.serving.routes import LARGEST

APP = Path(__file__).parent / "label_app"
ROOT = Path(common.__file__).parents[1]  # what is started with this on its path finds the library
APPS = ("warpsure", "monaibundle")
SERVED = ("vxm_hetero", "vxm_hetero_disp")  # where none are named
SECONDS = 180  # that a server may take to start
REASON = re.compile(r"InputError: (.*)|\[Errno \d+\] (.*)")  # in its log


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the server and wait until it ends; return its status."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    from .label_app.bundles import bundle_folders

    folders = bundle_folders(options.bundles)
    if find_spec("monailabel") is None:
        raise InputError("monailabel is not installed; `make label` installs it, as requirements-label.txt says.")
    studies = options.studies or options.output / "studies"
    if options.studies is None:
        from .label_app.demo import make_studies

        make_studies(studies)
    elif not studies.is_dir():
        raise InputError(f"{studies}: no such folder; give one with images as --studies.")
    hosts = trusted_hosts([*options.hosts, *[options.host] * (options.host not in EVERYONE)])
    if options.host in EVERYONE and not options.hosts:
        print(f"warning: --host {options.host} without --hosts: only this machine is answered; name it as others do.")
    refuse_taken(options.host, options.port)
    app = make_app(options.app, folders, options.output)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server is not to outlive us
    server = start(app, studies, folders, options, hosts)
    try:
        wait_until_ready(server, url := url_of(options.host, options.port), log_of(app))
        print(usage(url, options.app, list(folders), studies), flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("label"), description=__doc__)
    images = "the folder of the images (default: a demo in --output)"
    described.add_argument("--studies", type=Path, metavar="DIR", help=images)
    add_bundles(described, SERVED, " ".join(SERVED))
    described.add_argument("--app", choices=APPS, default=APPS[0], help="ours, or MONAI Label's own (default: ours)")
    add_output(described, "where the app keeps its files (default: results/label)", default=Path("results/label"))
    described.add_argument(
        "--host", default="127.0.0.1", metavar="NAME", help="who may ask (default: this machine); 0.0.0.0 is everyone"
    )
    names = "by which this machine may be asked, beside 127.0.0.1, localhost, ::1 and --host"
    described.add_argument("--hosts", nargs="+", default=[], metavar="NAME", help=names)
    most = f"the largest file that is taken (default: {LARGEST})"
    described.add_argument("--upload-mb", type=positive, default=LARGEST, metavar="MB", help=most)
    described.add_argument("--port", type=int, default=8000, metavar="N", help="of the server (default: 8000)")
    return described


def make_app(kind: str, folders: dict[str, Path], output: Path) -> Path:
    """Make the app's folder, in which MONAI Label writes too, and return it.

    Raises:
        InputError: the app of MONAI Label is not where it installs it, or the folder cannot be written.
    """
    app = output.resolve() / kind
    source = APP if kind == "warpsure" else Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"
    if not (source / "main.py").is_file():
        raise InputError(f"{source}: no main.py of an app; install monailabel again.")
    try:
        (app / "model").mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "main.py", app / "main.py")
        if kind == "monaibundle":
            shutil.copytree(source / "lib", app / "lib", dirs_exist_ok=True)
            for name, folder in folders.items():
                link = app / "model" / name
                link.unlink(missing_ok=True)
                link.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError as error:
        raise InputError(f"{error.filename or app}: {error.strerror}; give another --output.") from error
    return app


def start(
    app: Path, studies: Path, folders: dict[str, Path], options: argparse.Namespace, hosts: Iterable[str]
) -> subprocess.Popen:
    """Start the server's process; what it logs goes to ``logs/server.log`` in the app's folder."""
    models = folders if options.app == "monaibundle" else [str(folder.resolve()) for folder in folders.values()]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies),
               "--host", options.host, "--port", str(options.port), "--conf", "models", ",".join(models),
               "--conf", "zoo_source", "ngc", "--conf", "sam2", "false",
               "--conf", "hosts", ",".join(sorted(hosts)), "--conf", "upload_mb", str(options.upload_mb),
               "--uvicorn_app", "tools.label_app.server:app"]  # fmt: skip
    # the stock app's trainer knows no pairs
    command += ["--conf", "skip_trainers", "true"] * (options.app == "monaibundle")
    log_of(app).parent.mkdir(exist_ok=True)
    with log_of(app).open("w") as log:
        return subprocess.Popen(command, env=environment(app), stdout=log, stderr=subprocess.STDOUT)


def environment(app: Path) -> dict[str, str]:
    """The variables of the server: where our code is, and which files are images."""
    paths = [str(ROOT), *[str(APP / "standin")] * (not _imports("torchvision.utils"))]
    settings = {
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*{ending}" for ending in (*NIFTI[::-1], *ITK)]),
        "MONAI_LABEL_SESSION_PATH": str(app / "sessions"),
    }
    return os.environ | settings


def _imports(module: str) -> bool:
    """Whether a module is there and loads: a torchvision of another build of torch does not."""
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def refuse_taken(host: str, port: int) -> None:
    """Raise InputError if another program answers on this port: it would be taken for ours."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            raise InputError(f"--host {host} --port {port}: cannot be used ({error}); give others.") from error


def url_of(host: str, port: int) -> str:
    """Where this machine itself asks a server that listens at ``host``."""
    host = {"0.0.0.0": LOCAL[0], "::": LOCAL[-1], "": LOCAL[0]}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def log_of(app: Path) -> Path:
    """What the server prints."""
    return app / "logs" / "server.log"


def wait_until_ready(server: subprocess.Popen, url: str, log: Path) -> None:
    """Wait for the first answer.

    Raises:
        InputError: the server ends before, with what its log says of it, or takes too long.
    """
    # no proxy stands between this machine and itself
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + SECONDS
    while server.poll() is None:
        try:
            with opener.open(f"{url}/info/", timeout=30):
                return
        except OSError:
            time.sleep(0.3)
        if time.monotonic() > end:
            raise InputError(f"{log}: the server has not answered for {SECONDS} seconds; see there why.")
    reasons = REASON.findall(log.read_text(encoding="utf-8", errors="replace"))
    raise InputError("".join(reasons[-1]) if reasons else f"{log}: the server has ended; see there why.")


def usage(url: str, app: str, models: Sequence[str], studies: Path) -> str:
    """What to type next."""
    cine = next((path.name.split(".")[0] for path in sorted(studies.glob("*cine.nii.gz"))), "CINE")
    pair = [path.name.split(".")[0] for path in sorted(studies.glob("*_E[DS].nii.gz"))[:2]] or ["ED", "ES"]

    def ask(image: str, output: str, params: dict[str, Any], file: str = "") -> str:
        where = f"{url}/infer/{models[0]}?image={image}&output={output}"
        return f"curl -s -X POST '{where}' -F 'params={json.dumps(params)}'" + (f" -o {file}" if file else "")

    lines = [
        f"{url}  serves {', '.join(models)} on {studies}; Ctrl-C ends it",
        ask(pair[0], "image", {"fixed": pair[-1]}, "warped.nii.gz"),
        ask(cine, "json", {"moving_frame": 0, "fixed_frame": 4}),
    ]
    if app == "warpsure":
        train = "-H 'Content-Type: application/json' -d '{\"max_epochs\": 1}'"
        lines += [
            ask(pair[0], "image", {"fixed": pair[-1], "result": "all"}, "all.zip"),
            f"curl -s -X POST '{url}/train/{models[0]}' {train}",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
