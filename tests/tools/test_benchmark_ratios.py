"""tools.benchmark.ratios: turns, warm-up, medians and spreads, by a clock of its own."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import torch

from tools.benchmark import __main__ as benchmark
from tools.benchmark import bench, ratios

LINE = re.compile(r"ratio (\w+) (\S+) \((\S+) to (\S+), (\d+) rounds, (\d+) threads?\)")


class Sides:
    """Calls that take what they are told, by a clock that nothing else moves; ``order`` is who was called."""

    def __init__(self, **seconds: list[float]) -> None:
        self.time, self.order, self.seconds = 0.0, [], seconds
        self.clock = ratios.Clock("told", lambda: self.time)
        self.calls = {side: lambda side=side: self.call(side) for side in seconds}

    def call(self, side: str) -> None:
        self.order.append(side)
        taken = self.seconds[side]
        self.time += taken.pop(0) if len(taken) > 1 else taken[0]


def test_sides_warm_up_and_then_take_turns_each_first_as_often() -> None:
    sides = Sides(a=[1.0], b=[2.0])
    timed = ratios.in_rounds(sides.calls, sides.clock, rounds=4)
    warm = ["a"] * ratios.WARM_UP + ["b"] * ratios.WARM_UP
    assert sides.order == [*warm, *"ab", *"ba", *"ab", *"ba"]
    assert timed.turns == 1 and timed.ratios("b", "a") == [2.0] * 4


def test_what_warms_up_does_not_count() -> None:
    sides = Sides(a=[90.0, 80.0, 70.0, 1.0], b=[3.0])
    timed = ratios.in_rounds(sides.calls, sides.clock, rounds=7)
    assert timed.seconds == {"a": [1.0] * 7, "b": [3.0] * 7} and timed.median("b") == 3


def test_a_round_lasts_but_not_too_long() -> None:
    sides = Sides(short=[0.25], long=[0.5])
    timed = ratios.in_rounds(sides.calls, sides.clock, rounds=2, least=0.5)
    assert timed.turns == 2 and sides.order[-8:] == ["short", "long", "long", "short"] * 2
    assert timed.seconds == {"short": [0.25] * 2, "long": [0.5] * 2}  # of one call
    assert ratios.turns_of([0.001, 0.1], least=0.05) == 19  # of 2 s: it would be 50
    assert ratios.turns_of([9.0, 3.0], least=0.05) == ratios.turns_of([0.1, 0.0], 0.05) == 1
    assert ratios.turns_of([0.1, 0.2], least=0.0) == 1


def test_a_round_is_the_median_of_its_turns() -> None:
    sides = Sides(a=[0.25, 0.25, 0.25, 0.25, 90.0, 0.5, 1.0, 0.75, 0.75])
    timed = ratios.in_rounds(sides.calls, sides.clock, rounds=2, least=0.75)
    assert timed.turns == 3 and timed.seconds == {"a": [0.5, 0.75]}


def test_the_median_of_the_rounds_ratios_is_claimed_with_the_least_and_the_largest() -> None:
    timed = ratios.Timed(1, {"ours": [1.0, 1.0, 2.0], "theirs": [3.0, 5.0, 20.0]})
    claim = ratios.Claim("x_vs_y", "x", "y", timed.ratios("theirs", "ours"))
    assert claim.numbers == {"median": 5.0, "low": 3.0, "high": 10.0}
    assert claim.line(1) == "ratio x_vs_y 5 (3 to 10, 3 rounds, 1 thread)"
    assert LINE.fullmatch(claim.line(2)).groups() == ("x_vs_y", "5", "3", "10", "3", "2")
    assert ratios.Claim("memory", "", "", [1.25]).line(1) == "ratio memory 1.25"


def test_of_one_thread_waiting_costs_nothing_and_of_several_it_does() -> None:
    cpu = torch.device("cpu")
    of_one, of_two = ratios.clock_of(cpu, 1), ratios.clock_of(cpu, 2)
    assert (of_one.name, of_two.name) == ("CPU time", "wall clock")
    assert ratios.taken(lambda: time.sleep(0.2), of_one) < 0.1
    assert ratios.taken(lambda: time.sleep(0.2), of_two) >= 0.2


@pytest.mark.parametrize("rounds", ["1", "6"])
def test_fewer_rounds_than_a_claim_needs_are_refused(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["metrics", "--rounds", rounds])
    assert f"--rounds: '{rounds}': at least 7, or --quick" in capsys.readouterr().err


def test_what_was_measured_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "metrics.json"
    benchmark.main(["metrics", "--quick", "--output", str(file)])
    found = json.loads(file.read_text())
    assert (found["benchmark"], found["clock"], found["threads"], found["rounds"]) == ("metrics", "CPU time", 1, 2)
    assert {"cpu", "instructions", "torch", "monai", "numpy"} <= set(found["machine"])
    printed = {line[0]: [*map(float, line[1:4])] for line in LINE.findall(capsys.readouterr().out)}
    written = {name: [each[key] for key in ("median", "low", "high")] for name, each in found["ratios"].items()}
    assert list(printed) == list(written)
    for name, values in written.items():
        assert printed[name] == pytest.approx(values, rel=1e-3)
    assert all(len(side) == 2 for each in found["timed"].values() for side in each["seconds"].values())


def test_a_processor_is_told_from_another_of_its_name(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\n")
    assert bench.processor(info) == "AMD EPYC (family 25, model 17)"
    info.write_text("processor\t: 0\nBogoMIPS\t: 50\n")
    assert bench.processor(info) and bench.processor(tmp_path / "none")
