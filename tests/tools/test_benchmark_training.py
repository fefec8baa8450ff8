"""tools.benchmark.training: it runs both sides on equal layers, and prints the ratios that it promises."""

from __future__ import annotations

import pytest
import torch

from common.networks import VoxelMorph
from tools.benchmark import __main__ as benchmark
from tools.benchmark import steps, training


def test_it_ends_with_the_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(training, "CASES", (training.Case(2, (16, 16), 4), training.Case(1, (16, 16, 16), 2)))
    threads = torch.get_num_threads()
    benchmark.main(["training", "--quick", "--threads", "1"])
    assert torch.get_num_threads() == threads
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ratio")]
    assert [line[1] for line in lines] == [
        "training_step_2d",
        "training_step_fast_2d",
        "loader_vs_step",
        "training_step_3d",
        "training_step_fast_3d",
    ]
    assert all(float(line[2]) > 0 for line in lines)


def test_both_sides_have_as_many_weights() -> None:
    with pytest.warns(UserWarning, match="native grid_sample"):
        plain = steps.monai_voxelmorph(2)
    for network in (VoxelMorph(2), plain):
        assert sum(p.numel() for p in network.parameters()) == 109_170


@pytest.mark.parametrize("option", ["--rounds", "--threads"])
def test_counts_below_one_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["training", option, "0"])
    assert f"{option}: '0': expected a whole number above 0" in capsys.readouterr().err
