from __future__ import annotations

import pytest
import torch

from common.errors import InputError
from tools.benchmark.__main__ import benchmarks, main
from tools.benchmark.metrics import check_equal, time_in_turns


def test_the_benchmark_checks_values_and_ends_with_ratios(capsys):
    threads = torch.get_num_threads()
    main(["metrics", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()[-3:]
    names = [line.split()[:2] for line in lines]
    ratios = ["metrics_vs_monai", "ause_vs_percentile_loop", "label_ause_vs_percentile_loop"]
    assert names == [["ratio", ratio] for ratio in ratios]
    assert all(float(line.split()[2]) > 1 for line in lines)
    assert torch.get_num_threads() == threads


def test_every_benchmark_can_be_run():
    assert "metrics" in benchmarks()
    assert all(callable(module.run) for module in benchmarks().values())


def test_calls_take_turns():
    order: list[str] = []
    times = time_in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "a", "b"]
    assert set(times) == {"a", "b"}


def test_unequal_values_stop_the_benchmark():
    with pytest.raises(InputError, match="cannot be compared"):
        check_equal("hd", 1.0, 1.1)
    with pytest.raises(InputError, match="--repeats 0"):
        main(["metrics", "--repeats", "0"])
