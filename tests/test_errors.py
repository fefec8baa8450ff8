"""Bad input in one line, everything else in full."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from common.errors import InputError, input_error_in, say_in_one_line


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that says its errors in one line."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    ignite = logging.getLogger("ignite.engine")
    level = ignite.level
    say_in_one_line()
    yield
    ignite.setLevel(level)


def shown(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    sys.excepthook(type(error), error, None)
    return capsys.readouterr().err


def wrapped(inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise RuntimeError("Failed to evaluate") from error
    except RuntimeError as outer:
        return outer


def test_an_input_error_is_one_line(hooked: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(InputError("a.nii.gz: empty; give another."), capsys) == "error: a.nii.gz: empty; give another.\n"


def test_an_input_error_that_monai_wrapped_is_the_same_line(hooked: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(wrapped(wrapped(InputError("told"))), capsys) == "error: told\n"


def test_any_other_error_keeps_its_traceback(hooked: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ValueError: a bug" in shown(wrapped(ValueError("a bug")), capsys)
    assert input_error_in(ValueError("a bug")) is None


def test_an_interrupted_run_says_so(hooked: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(KeyboardInterrupt(), capsys) == "stopped\n"


def test_saying_it_twice_is_saying_it_once(hooked: None) -> None:
    hook = sys.excepthook
    say_in_one_line()
    assert sys.excepthook is hook
