"""What is started: its log, its failure in a line, and its end with the program that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.collection.find import BUNDLES
from common.errors import InputError
from tools.campaign.launching import ROOT, LaunchFailed, bundle_call, called, exclusive, launch, of_pairing

KEEPS = """
import sys
from pathlib import Path
from tools.campaign.launching import exclusive, launch, terminable
child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
with terminable(), exclusive(Path(sys.argv[1])) as log:
    launch("evaluation", [sys.executable, "-c", child], log)
"""


def test_a_failure_is_the_last_line_of_its_log(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.txt"
    with exclusive(path) as log:
        launch("training", [sys.executable, "-c", "print('fine')"], log)
        words = [sys.executable, "-c", "import sys; print('a'); sys.exit('error: x.pt: none.\\n\\n')"]
        with pytest.raises(LaunchFailed) as caught:
            launch("evaluation", words, log)
    assert str(caught.value) == f"{path}: evaluation failed with status 1: error: x.pt: none."
    assert caught.value.reason == "x.pt: none." and caught.value.log == path and isinstance(caught.value, InputError)
    said = [line for line in path.read_text().splitlines() if line]
    assert said[0] == "fine" and said[-1] == "evaluation failed with status 1"


def test_a_bundle_is_called_by_its_name_wherever_that_finds_it(tmp_path: Path) -> None:
    assert called("vxm_mse") == called(str(BUNDLES / "vxm_mse")) == called(f"{BUNDLES}/vxm_mse/") == "vxm_mse"
    (tmp_path / "vxm_mse" / "configs").mkdir(parents=True)
    with pytest.raises(InputError, match="vxm_mse: runs are kept by the names of bundles; bring the bundle to "):
        called(str(tmp_path / "vxm_mse"))
    with pytest.raises(InputError, match="none: no bundle"):
        called(str(tmp_path / "none"))


def test_one_that_says_nothing_is_told_by_its_status(tmp_path: Path) -> None:
    with exclusive(tmp_path / "log.txt") as log, pytest.raises(LaunchFailed) as caught:
        launch("evaluation", [sys.executable, "-c", "raise SystemExit(3)"], log)
    assert caught.value.reason == "ended with status 3 and no word"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_goes_on_without_the_program_that_started_it(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log.txt"
    begun = subprocess.Popen([sys.executable, "-c", KEEPS, str(log)], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (log.is_file() and log.read_text().endswith("\n")) and begun.poll() is None:
        time.sleep(0.05)
    child = int(log.read_text())
    begun.send_signal(number)
    assert begun.wait(30) == (128 + number if number == signal.SIGTERM else -number)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_values_are_told_as_the_command_line_takes_them(tmp_path: Path) -> None:
    values = {"a": 0.5, "b": [1, 2], "c": True, "d": None, "e": "f", "g": tmp_path}
    words = bundle_call("evaluation", [tmp_path / "x.yaml"], values)
    assert words[1:7] == ["-m", "monai.bundle", "run", "evaluation", "--config_file", str(tmp_path / "x.yaml")]
    told = dict(zip(words[7::2], words[8::2]))
    assert told == {"--a": "0.5", "--b": "[1,2]", "--c": "true", "--d": "null", "--e": "f", "--g": str(tmp_path)}


def test_pairs_as_listed_are_not_told() -> None:
    assert [of_pairing(each) for each in (None, "listed", "all")] == [{}, {}, {"pairing": "all"}]
