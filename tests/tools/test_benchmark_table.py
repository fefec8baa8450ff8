"""tools.benchmark.table: the page's tables, from files that benchmarks have written."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import table

MACHINE = {"cpu": "AMD EPYC (family 25, model 17)", "torch": "2.13.0", "monai": "1.6.1", "numpy": "2.4.6"}


def result(name: str, **ratios: tuple[float, float, float]) -> dict[str, Any]:
    told = {
        claim: {"what": f"what {claim} is", "against": "a peer", **dict(zip(("median", "low", "high"), values))}
        for claim, values in ratios.items()
    }
    how = {"date": "2026-11-27", "machine": MACHINE, "clock": "CPU time", "threads": 1, "rounds": 7}
    return {"benchmark": name, **how, "ratios": told}


METRICS = result("metrics", a=(18.53, 17.2, 21.0), b=(3.44, 3.4, 3.51))
METHODS = result(
    "methods",
    vxm_mse_vs_monai_2d=(3.34, 3.3, 3.4),
    vxm_beta_nll_vs_monai_2d=(1.71, 1.7, 1.8),
    vxm_beta_nll_vs_mse_2d=(0.5, 0.49, 0.52),
    vxm_beta_nll_vs_unshared_2d=(1.3, 1.2, 1.4),
)


def test_each_claim_has_a_line_with_its_spread() -> None:
    lines = list(table.tables([METRICS]))
    assert lines[2] == "| `metrics` | what a is | a peer | 19 (17 to 21) |"
    assert lines[3] == "| `metrics` | what b is | a peer | 3.4 (3.4 to 3.5) |"
    assert lines[-1].startswith(
        "`metrics`: AMD EPYC (family 25, model 17), 1 thread, CPU time, 7 rounds, PyTorch 2.13.0,"
    )


def test_what_is_no_time_has_no_spread() -> None:
    assert table.spread({"median": 1.24, "low": 1.24, "high": 1.24}) == "1.2"
    assert [table.short(value) for value in (0.123, 0.996, 9.94, 9.96, 1234.5)] == ["0.12", "1.0", "9.9", "10", "1234"]


def test_methods_have_a_table_of_their_own_and_conditions_are_said_once() -> None:
    lines = list(table.tables([METRICS, METHODS]))
    own = lines[lines.index("") + 1 :]
    assert own[0] == "| | mse | beta_nll |"
    assert own[2] == "| in steps of mse | 1.00 | 2.00 |"
    assert own[3] == "| times as fast as MONAI's single network | 3.3 | 1.7 |"
    assert [line.partition(":")[0] for line in own[5:]] == ["`metrics`, `methods`"]


def test_it_reads_what_benchmarks_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(METRICS))
    benchmark.main(["table", str(file)])
    assert capsys.readouterr().out.splitlines() == list(table.tables([METRICS]))


def test_what_cannot_be_quoted_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(copy.deepcopy(METRICS) | {"rounds": 2}))
    with pytest.raises(InputError, match="of 2 rounds; nothing is quoted of fewer than 7"):
        benchmark.main(["table", str(file)])
    for text in ("[]", "{", "{}"):
        file.write_text(text)
        with pytest.raises(InputError, match="metrics.json: not what `benchmark NAME --output FILE` writes"):
            benchmark.main(["table", str(file)])


def test_the_committed_results_can_be_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*table.RESULTS.glob("*.json")]
    benchmark.main(["table"])
    assert "| `metrics` | Dice, HD, HD95 and both ASD of a 128² pair |" in capsys.readouterr().out
