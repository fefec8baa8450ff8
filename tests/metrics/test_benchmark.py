from __future__ import annotations

from importlib import import_module

import pytest
import torch

from common.errors import InputError
from tools.benchmark.__main__ import main
from tools.benchmark.metrics import check_equal
from tools.benchmark.options import BENCHMARKS


def test_the_benchmark_checks_values_and_ends_with_ratios(capsys):
    threads = torch.get_num_threads()
    main(["metrics", "--quick"])
    lines = capsys.readouterr().out.splitlines()[-3:]
    names = [line.split()[:2] for line in lines]
    ratios = ["metrics_vs_monai", "ause_vs_percentile_loop", "label_ause_vs_percentile_loop"]
    assert names == [["ratio", ratio] for ratio in ratios]
    assert all(float(line.split()[2]) > 1 for line in lines)
    assert torch.get_num_threads() == threads


def test_every_benchmark_can_be_run():
    assert all(callable(import_module(f"tools.benchmark.{name}").run) for name in BENCHMARKS)


def test_unequal_values_stop_the_benchmark():
    with pytest.raises(InputError, match="cannot be compared"):
        check_equal("hd", 1.0, 1.1)
