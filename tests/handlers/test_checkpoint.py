"""Checkpoints that cannot be resumed, and folders that cannot be written, in one line each."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events

from common.engines import SingleTrainer
from common.errors import InputError
from common.handlers.checkpoint import Checkpoint, prepare_folder

MakeTrainer = Callable[..., SingleTrainer]


@pytest.fixture
def checkpoint(make_trainer: MakeTrainer, tmp_path: Path) -> Path:
    """The checkpoint of an unfinished run of vxm_mse."""
    path = tmp_path / "run" / "checkpoint.pt"
    trainer = make_trainer("vxm_mse", max_epochs=2)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, trainer.terminate)
    trainer.run()
    return path


def refusal(make_trainer: MakeTrainer, bundle: str = "vxm_mse", **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        make_trainer(bundle, **{"max_epochs": 2, **settings}).run()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    assert message.endswith("give another --output_dir, or --resume false to begin anew.")
    return message


def test_a_truncated_checkpoint_is_refused(make_trainer: MakeTrainer, checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    assert f"{checkpoint}: not a whole checkpoint" in refusal(make_trainer)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_file_of_something_else_is_refused(make_trainer: MakeTrainer, checkpoint: Path, content: bytes) -> None:
    checkpoint.write_bytes(content)
    assert f"{checkpoint}: not a whole checkpoint" in refusal(make_trainer)


@pytest.mark.parametrize("content", [{"weight": torch.zeros(1)}, torch.zeros(1), [1], {}])
def test_a_foreign_file_is_refused(make_trainer: MakeTrainer, checkpoint: Path, content: object) -> None:
    torch.save(content, checkpoint)
    assert "not a checkpoint of this run (no average, epoch, network, objective, optimizer" in refusal(make_trainer)


@pytest.mark.parametrize("name", ["max_epochs", "batch_size", "learning_rate", "smooth_weight", "seed"])
def test_other_settings_are_refused_by_name(make_trainer: MakeTrainer, checkpoint: Path, name: str) -> None:
    assert re.search(rf"trained with {name} [\d.]+, not 7; ", refusal(make_trainer, **{name: 7}))


def test_another_network_is_refused(make_trainer: MakeTrainer, checkpoint: Path) -> None:
    assert "its network is that of another" in refusal(make_trainer, **{"network#variant": "fast"})


def test_another_bundle_is_refused(make_trainer: MakeTrainer, checkpoint: Path) -> None:
    assert "not a checkpoint of this run (no companion_optimizer" in refusal(make_trainer, "vxm_hetero")


def test_a_run_with_a_setting_more_is_not_gone_on_with(make_trainer: MakeTrainer, checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | {"settings": content["settings"] | {"cycles": 2}}, checkpoint)
    assert "trained with cycles 2, which this run lacks; give another --output_dir" in refusal(make_trainer)


def test_a_refused_checkpoint_is_left_as_it_was(make_trainer: MakeTrainer, checkpoint: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in checkpoint.parent.rglob("[!.]*")}
    refusal(make_trainer, seed=1)
    assert {p: p.stat().st_mtime_ns for p in checkpoint.parent.rglob("[!.]*")} == before


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_epoch(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    trainer, epochs = make_trainer("vxm_mse", max_epochs=1, output_dir=str(tmp_path / "file" / "run")), []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: epochs.append(1))
    with pytest.raises(InputError, match=r"file/run: cannot be written \(Not a directory\); give another --output_dir"):
        trainer.run()
    assert not epochs


def test_a_disk_that_fills_up_ends_the_run_in_one_line(
    make_trainer: MakeTrainer, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoint.read_bytes()

    def full(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"run/\w+.\w+: cannot be written \(No space left on device\)"):
        make_trainer("vxm_mse", max_epochs=2).run()
    assert checkpoint.read_bytes() == before
    assert not list(checkpoint.parent.glob(".*.tmp"))


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".checkpoint.pt.123.tmp", ".model.pt.7.tmp", "checkpoint.pt", "notes.tmp"):
        (tmp_path / name).touch()
    prepare_folder(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "notes.tmp"]


FORGED = [
    *(("epoch", value) for value in ("1", None, -1, 0, True, 1.5)),
    *(("settings", value) for value in (None, [], "x")),
    *(("random", value) for value in ([], None, "x", [{}], [5], [{"python": 1, "numpy": 2, "torch": 3}])),
    *(("network", value) for value in (None, [], {}, {"a": torch.zeros(1, dtype=torch.complex64)})),
    *(("validation", value) for value in (None, [], {}, {"phase": 1, "best": "x", "since_best": []})),
    *(("optimizer", value) for value in (None, [], {}, {"state": 5, "param_groups": 5})),
]


def test_a_forged_checkpoint_is_refused_by_name(make_trainer: MakeTrainer, checkpoint: Path) -> None:
    whole = torch.load(checkpoint, weights_only=True)
    trainer = make_trainer("vxm_mse", max_epochs=2)
    saver = next(h.__self__ for h, *_ in trainer._event_handlers[Events.STARTED] if hasattr(h, "__self__")
                 and isinstance(h.__self__, Checkpoint))  # fmt: skip
    for name, value in FORGED:
        torch.save({**whole, name: value}, checkpoint)
        with pytest.raises(InputError, match=rf"checkpoint\.pt: its {name} is .*give another --output_dir") as caught:
            saver._load(trainer)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"a,b\n1,2\n", b"epoch,x\nfirst,2\n", b"epoch\n1,2,3\n", b"\xff\xfe\n\x00", b"epoch\n-1\n"]
)
def test_a_log_of_something_else_is_refused_before_the_first_epoch(
    make_trainer: MakeTrainer, tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.csv").write_bytes(text)
    with pytest.raises(InputError, match=r"log\.csv: not the log of a training; move it elsewhere, or give another"):
        make_trainer("vxm_mse", max_epochs=1).run()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["log.csv"]
