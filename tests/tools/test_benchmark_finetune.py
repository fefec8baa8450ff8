"""tools.benchmark.finetune: what weights are worth on few pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import InputError
from tools.benchmark import __main__ as benchmark


def asked(dataset: Path, *more: object) -> list[str]:
    return ["finetune", "--dataset", str(dataset), *map(str, more)]


def test_weights_are_compared_with_nothing_at_the_same_epochs(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, runs = tmp_path / "finetune.json", tmp_path / "runs"
    words = asked(tiny_dataset, "--epochs", 1, "--rates", 0.0003, "--refine-steps", 2, "--share", 0.5, "--seeds", 0, 0)
    benchmark.main([*words, "--runs", str(runs), "--output", str(output)])
    text = output.read_text()
    content, said = json.loads(text), capsys.readouterr().out.splitlines()
    assert content["train"] == {"pairs": 6, "subjects": 6} and content["val"] == {"pairs": 4, "subjects": 4}
    assert (content["labels"], content["seeds"], content["steps_an_epoch"]) == (["ring"], [0], 1)
    still, begun, refined, scratch, tuned = content["rows"]
    assert not still["registered"] and (begun["refine_steps"], refined["refine_steps"]) == (0, 2)
    assert (scratch["init"], scratch["learning_rate"]) == (None, 0.001)
    assert (tuned["init"], tuned["learning_rate"], tuned["epochs"]) == ("acdc", 0.0003, 1)
    dice = [row["standard"]["dsc"]["mean"] for row in content["rows"]]
    assert dice[0] == pytest.approx(dice[3], abs=0.5) and len(set(dice)) == 5 - (dice[0] == dice[3])
    assert said[0].startswith("no registration: DSC ") and said[4].startswith(
        "from acdc, epochs 1, learning rate 0.0003: DSC "
    )
    assert len(said) == 5 and str(tmp_path) not in text
    folders = sorted(path.parent.name for path in (runs / "vxm_mse").glob("*/seed_*"))
    assert folders == [
        "init=acdc,learning_rate=0.0003,max_epochs=1,training_share=0.5,validation_interval=1",
        "max_epochs=1,training_share=0.5,validation_interval=1",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--init", "acdcc"), "init is 'acdcc': neither weights of the bundle .*; did you mean acdc"),
        (("--init", "runs/mine"), "--init runs/mine: a path; give weights by their name"),
        (("--bundle", "vxm_nse"), "vxm_nse: no such bundle in .*; did you mean vxm_mse"),
        (("--share", "2"), "training_share is 2.0: it must be above 0 and at most 1"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    tiny_dataset: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        benchmark.main(asked(tiny_dataset, "--runs", tmp_path / "runs", *words))
    assert not (tmp_path / "runs").exists()


def test_pairs_without_labels_are_refused(tiny_dataset: Path, tmp_path: Path) -> None:
    content = json.loads((tiny_dataset / "dataset.json").read_text()) | {"evaluated_labels": []}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="it evaluates no labels, so nothing can be compared"):
        benchmark.main(asked(tmp_path))


@pytest.mark.parametrize("words", [("--epochs", "0"), ("--rates", "-0.1"), ("--seeds", "-1"), ("--dataset", "")])
def test_a_number_out_of_range_is_named(
    tiny_dataset: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(asked(tiny_dataset, *words))
    assert f"{words[0]}: {words[1]!r}" in capsys.readouterr().err
