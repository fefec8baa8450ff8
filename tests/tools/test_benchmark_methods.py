"""tools.benchmark.methods: every method's step is that of its bundle, and the ratios are those that it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from common.engines import AlternatingTrainer
from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import methods
from tools.benchmark.steps import Case
from tools.render import combinations

CASE = Case(2, (16, 16), 4)


def ratios(output: str) -> dict[str, float]:
    lines = [line.split() for line in output.splitlines() if line.startswith("ratio")]
    return {name: float(value) for _, name, value, *_ in lines}


def test_it_ends_with_the_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(methods, "CASES", (CASE,))
    threads = torch.get_num_threads()
    benchmark.main(["methods", "--quick", "--threads", "1", "--methods", "hetero", "ncc", "predictive"])
    assert torch.get_num_threads() == threads
    output = capsys.readouterr().out
    against_monai = [f"vxm_{name}_vs_monai_2d" for name in ("mse", "hetero", "ncc", "predictive")]
    against_mse = [f"vxm_{name}_vs_mse_2d" for name in ("hetero", "ncc", "predictive")]
    assert list(ratios(output)) == [*against_monai, *against_mse, "vxm_hetero_vs_unshared_2d"]
    assert all(value > 0 for value in ratios(output).values())
    assert "hetero:" in output and "at most 1.6: " in output


def test_every_method_of_the_architecture_takes_part() -> None:
    named = [name for name in combinations() if name.startswith("vxm_")]
    assert sorted(f"vxm_{name}" for name in methods.methods_of("vxm")) == sorted(named)
    assert next(iter(methods.methods_of("vxm"))) == "mse"
    assert [name for name, alternating in methods.methods_of("vxm", ["hetero", "nll"]).items() if alternating] == [
        "hetero"
    ]


@pytest.mark.parametrize("bundle", ["vxm_adacs", "vxm_hetero"])
def test_shared_or_not_a_step_trains_both_networks_and_writes_nothing(bundle: str, tmp_path: Path) -> None:
    batch = next(iter(methods.loader_of(CASE, tmp_path / "data", torch.device("cpu"))))
    unshared = {"train#trainer#_target_": f"{methods.__name__}.UnsharedTrainer"}
    kinds = {AlternatingTrainer: {}, methods.UnsharedTrainer: unshared}
    estimators = []
    for kind, settings in kinds.items():
        torch.manual_seed(0)
        exact = {"precision": "float32", **settings}
        trainer = methods.trainer_of(bundle, CASE, tmp_path, torch.device("cpu"), exact)
        assert type(trainer) is kind
        before = {name: weights(network) for name, network in trainer.networks().items()}
        methods.stepper(trainer, batch)()
        assert not torch.equal(before["network"], weights(trainer.network))
        assert not torch.equal(before["companion"], weights(trainer.companion))
        estimators.append(weights(trainer.network))
    assert torch.allclose(*estimators, atol=1e-6)  # it steps first, at the same deformation and map
    assert not (tmp_path / "run").exists()


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()] or [torch.empty(0)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--architecture", "vit"], "--architecture vit: there is .*vxm"),
        (["--methods", "mse", "l2"], "--methods l2: vxm has .*hetero"),
        (["--device", "abacus"], "--device abacus: "),
    ],
)
def test_wrong_options_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        benchmark.main(["methods", *words])
    assert "\n" not in str(raised.value)
