"""tools.benchmark.memory: a process of its own takes the step and measures itself."""

from __future__ import annotations

import argparse

import pytest

from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import memory


def test_it_prints_the_peak_of_the_step_alone_and_its_ratio_to_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    held = bytearray(2**30)  # by this process: nothing of it may count
    benchmark.main(["memory", "--methods", "mse", "--size", "16,16,16", "--threads", "1"])
    assert len(held) == 2**30 and memory.resident_peak() > 1
    output = capsys.readouterr().out.splitlines()
    peak = float(output[1].split()[2])
    assert output[1].split()[:2] == ["mse", "resident"] and output[1].endswith("holds") and 0.05 < peak < 1
    name, ratio = output[-1].split()[1:]
    assert name == "memory_vxm_mse" and float(ratio) == pytest.approx(12 / peak, rel=0.05)


def test_a_step_that_fails_is_one_line() -> None:
    args = argparse.Namespace(size=[16, 16, 16], device="abacus", threads=1)
    with pytest.raises(InputError, match="vxm_mse: its step ended with status 1: .*abacus") as raised:
        memory.peaks_of("vxm_mse", args)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "16,16"], "--size 16,16: give three numbers"),
        (["--methods", "l2"], "--methods l2: vxm has"),
        (["--device", "abacus"], "--device abacus: "),
    ],
)
def test_wrong_options_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        benchmark.main(["memory", *words])
