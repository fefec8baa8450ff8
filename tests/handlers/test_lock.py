"""Two trainings into one folder: the second is refused, and a killed one leaves nothing that stops the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.engines import SingleTrainer
from common.errors import InputError
from common.files import remove_leftovers, staged, write_bytes
from common.handlers.lock import lock_folder

HOLD = """
import os, sys, time
from pathlib import Path
from common.handlers.lock import lock_folder
kept = lock_folder(Path(sys.argv[1]))
if os.fork() == 0:  # as a reader of data does, who outlives it for a while
    os.close(1)
    time.sleep(30)
    os._exit(0)
print("held", flush=True)
time.sleep(30)
"""
ROOT = Path(__file__).resolve().parents[2]


def test_a_folder_is_trained_in_by_one_process_and_freed_by_its_death(
    make_trainer: Callable[..., SingleTrainer], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError) as caught:
            make_trainer("vxm_mse", max_epochs=1).run()
        said = f"{folder}: process {holder.pid} trains there; stop it, or give another --output_dir."
        assert str(caught.value) == said and [path.name for path in folder.iterdir()] == [".lock"]
        holder.kill()
        holder.wait()
        make_trainer("vxm_mse", max_epochs=1).run()
        assert (folder / "checkpoint.pt").is_file()
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.communicate()


def test_a_process_locks_a_folder_as_often_as_it_wants(tmp_path: Path) -> None:
    first, second = lock_folder(tmp_path), lock_folder(tmp_path)
    assert first is not None and second is not None and (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    dead, living = 4194305, os.getppid()
    for process in (dead, living):
        write_bytes(tmp_path / f".model.pt.{process}.tmp", b"half")
        write_bytes(tmp_path / f".x.{process}.tmp" / "field.nii.gz", b"half")
    write_bytes(tmp_path / "notes.5.tmp", b"mine")
    write_bytes(tmp_path / ".notes.tmp", b"mine")
    kept = sorted([f".model.pt.{living}.tmp", f".x.{living}.tmp", "notes.5.tmp", ".notes.tmp"])
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    write_bytes(tmp_path / f".x.{dead}.tmp" / "field.nii.gz", b"half")
    with staged(tmp_path) as folder:
        assert folder.name.endswith(f".{os.getpid()}.tmp")
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
