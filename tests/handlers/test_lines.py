"""A training says what it does in plain lines: one an epoch, and at the end what came of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events

from common.data import PairLoader, PreparedPairs
from common.engines import SingleTrainer
from common.engines.validation import quick_metrics
from common.handlers.lines import Unmoved, spelt

MakeTrainer = Callable[..., SingleTrainer]
NUMBER = r"-?[\d.]+(e-?\d+)?"
PUBLISHED = rf"\(published {NUMBER} %\)"
LOSSES = r"(?P<losses>(displacement|companion) loss.*?)"
EPOCH = rf"epoch (\d)/3: {LOSSES}, (validation DSC (?P<dsc>{NUMBER}) % {PUBLISHED}, )?{NUMBER} s"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """The lines printed since the last call; nothing is animated where no terminal is."""

    def lines() -> list[str]:
        captured = capsys.readouterr()
        assert captured.err == ""
        return [line for line in captured.out.splitlines() if not line.startswith("warning: ")]

    return lines


def test_every_epoch_has_a_line_and_the_end_says_what_came_of_it(
    make_trainer: MakeTrainer, tmp_path: Path, tiny_dataset: Path, said: Callable[[], list[str]]
) -> None:
    trainer = make_trainer("vxm_adacs", max_epochs=3, warm_up=[1, 1])
    trainer.run()
    *epochs, trained, weights = said()
    found = [re.match(EPOCH, line) for line in epochs]
    assert [match and match[1] for match in found] == ["1", "2", "3"]
    assert ["displacement" in match["losses"] for match in found if match] == [True, False, True]
    assert ["companion" in match["losses"] for match in found if match] == [False, True, True]
    assert [match["dsc"] is None for match in found if match] == [False, True, False]  # which changes no field
    assert all(line.endswith(" left") for line in epochs[:2]) and epochs[2].endswith(" s")
    loader = PairLoader(PreparedPairs(tiny_dataset, "val"), 2)
    before = quick_metrics(Unmoved(), loader)["standard/dsc"]
    last = trainer.state.metrics["val/standard/dsc"]
    wanted = rf"validation DSC {last:.2f} % {PUBLISHED}, without registration DSC {before:.2f} % {PUBLISHED}; best"
    assert re.search(wanted, trained)
    assert trained.startswith("trained: last epoch 3 of 3; ") and "best epoch 3" in trained
    assert weights == f"weights of the last epoch: {tmp_path}/run/model.pt" and 0 < before < 100


def test_without_labels_the_error_is_said(
    make_trainer: MakeTrainer, tiny_dataset: Path, tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    content = json.loads((tiny_dataset / "dataset.json").read_text())
    for pair in content["splits"]["val"]:
        del pair["moving_label"], pair["fixed_label"]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (tmp_path / "images").symlink_to(tiny_dataset / "images")
    (tmp_path / "labels").symlink_to(tiny_dataset / "labels")
    make_trainer("vxm_mse", max_epochs=1, dataset_dir=str(tmp_path)).run()
    epoch, trained, _ = said()
    assert "validation MSE 0.0" in epoch and "without registration MSE 0.0" in trained and "DSC" not in epoch + trained


def test_the_best_epoch_is_named_also_over_a_stop(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    scores = iter([50.0, 60.0, 55.0, 40.0])
    found = lambda network, *_: {"mse": 1.0, "standard/dsc": next(scores)}  # noqa: E731
    monkeypatch.setattr("common.handlers.validation.quick_metrics", found)
    trainer = make_trainer("vxm_mse", max_epochs=4, keep="best")
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda: trainer.terminate())
    trainer.run()
    assert said()[-1].startswith("weights of the best epoch, 2: ")
    make_trainer("vxm_mse", max_epochs=4, keep="best").run()
    resumed, third, fourth, trained, weights = said()
    assert (
        "resumed, at epoch 2 of 4" in resumed and "validation DSC 55.00 %" in third and fourth.startswith("epoch 4/4")
    )
    assert trained.startswith("trained: last epoch 4 of 4; ") and "best epoch 2 (60.00 %)" in trained
    assert weights.startswith("weights of the best epoch, 2: ")
    make_trainer("vxm_mse", max_epochs=4, keep="best").run()
    assert len(said()) == 1  # trained already


def test_a_field_of_zeros_moves_nothing() -> None:
    ddf = Unmoved()(torch.rand(2, 1, 4, 6, 8), torch.rand(2, 1, 4, 6, 8)).ddf
    assert ddf.shape == (2, 3, 4, 6, 8) and not ddf.any()


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (5400, "1.5 h")])
def test_times_are_as_exact_as_one_reads_them(seconds: float, words: str) -> None:
    assert spelt(seconds) == words


def test_on_a_terminal_there_is_a_bar_too(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make_trainer("vxm_mse", max_epochs=1).run()
    captured = capsys.readouterr()
    assert "epoch 1/1 displacement" in captured.err and "\nepoch 1/1: displacement loss " in f"\n{captured.out}"
