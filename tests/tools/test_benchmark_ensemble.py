"""tools.benchmark.ensemble: time against as many single passes, memory of a process of its own."""

from __future__ import annotations

import argparse

import pytest

from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import ensemble
from tools.benchmark.steps import Case

CASE = Case(2, (16, 16), 1)


def test_it_ends_with_the_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ensemble, "CASES", (CASE,))
    benchmark.main(["ensemble", "--quick", "--members", "2"])
    lines = capsys.readouterr().out.splitlines()
    ratios = {name: float(value) for _, name, value, *_ in (line.split() for line in lines if line.startswith("ratio"))}
    assert list(ratios) == ["ensemble_time_2d", "ensemble_memory_2d"] and min(ratios.values()) > 0
    passes, times = (float(line.split()[1].strip(",")) for line in lines[4:6])
    assert ratios["ensemble_time_2d"] == pytest.approx(2 * 1.025 / passes, rel=0.02)
    assert ratios["ensemble_memory_2d"] == pytest.approx(1.3 / times, rel=0.02)


def test_more_images_take_more_memory() -> None:
    args = argparse.Namespace(device="cpu", threads=1)
    small, large = (ensemble.peak_of(Case(batch, (64, 64), 1), 0, args) for batch in (1, 64))
    assert large > small + 64 * 32 * 64 * 64 * 4 / ensemble.MIB  # a feature map of the full resolution


def test_a_process_that_fails_is_one_line() -> None:
    args = argparse.Namespace(device="abacus", threads=1)
    with pytest.raises(InputError, match="2d, batch 2 of 16x16: its process ended with status 1: .*abacus") as raised:
        ensemble.peak_of(CASE, 2, args)
    assert "\n" not in str(raised.value)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InputError, match="--device abacus: "):
        benchmark.main(["ensemble", "--device", "abacus"])
    with pytest.raises(SystemExit):
        benchmark.main(["ensemble", "--members", "0"])
