"""tools.benchmark.training: it runs both sides on equal layers, and prints the ratios that it promises."""

from __future__ import annotations

import pytest
import torch

from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import training


def test_it_ends_with_the_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(training, "CASES", (training.Case(2, (16, 16), 4), training.Case(1, (16, 16, 16), 2)))
    threads = torch.get_num_threads()
    benchmark.main(["training", "--repeats", "1", "--threads", "1"])
    assert torch.get_num_threads() == threads
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ratio")]
    assert [line[1] for line in lines] == ["training_step_2d", "training_step_3d", "loader_vs_step"]
    assert all(float(line[2]) > 0 for line in lines)


def test_both_sides_have_as_many_weights() -> None:
    case, batch = training.Case(1, (16, 16), 2), {"moving": torch.rand(1, 1, 16, 16), "fixed": torch.rand(1, 1, 16, 16)}
    with pytest.warns(UserWarning, match="native grid_sample"):
        step = training.monai_step(case, batch, torch.device("cpu"))
    (trainer,) = [cell.cell_contents for cell in step.__closure__ if hasattr(cell.cell_contents, "network")]
    assert sum(p.numel() for p in trainer.network.parameters()) == 109_170


@pytest.mark.parametrize("option", ["--repeats", "--threads"])
def test_counts_below_one_are_refused(option: str) -> None:
    with pytest.raises(InputError, match=f"{option} 0: give at least 1"):
        benchmark.main(["training", option, "0"])
