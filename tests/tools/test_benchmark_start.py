"""tools.benchmark.start: what a registration takes, part by part and as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import start


def test_the_parts_of_a_phantom_add_up_to_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(start, "SIZE", (48, 40))
    monkeypatch.setattr(start, "SLICES", 2)
    benchmark.main(["start", "--quick", "--bundle", "vxm_mse"])
    _, head, *rows, added, whole, ratio = capsys.readouterr().out.splitlines()
    assert "a phantom by vxm_mse" in head and not [*tmp_path.iterdir()]
    seconds = {row.split()[0]: float(row.split()[1]) for row in rows}
    assert [*seconds] == [*start.PARTS] and min(seconds.values()) >= 0 and seconds["torch"] > 0.1
    total = float(whole.split()[2])
    assert float(added.split()[2]) == pytest.approx(sum(seconds.values()), abs=0.1)
    assert sum(seconds.values()) == pytest.approx(total, rel=0.5)  # two processes, on a machine that does other things
    name, value = ratio.split()[1:3]
    assert name == "start_register" and float(value) == pytest.approx(start.BAR / total, rel=0.1)  # medians of two


def test_a_command_that_fails_and_half_a_pair_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="register ended with status 1: .*none.nii.gz: no such file"):
        benchmark.main(["start", "--moving", str(tmp_path / "none.nii.gz"), "--fixed", str(tmp_path / "none.nii.gz")])
    with pytest.raises(InputError, match="--moving and --fixed: give both"):
        benchmark.main(["start", "--moving", "a.nii.gz"])
