"""Evaluation of networks that predict labels, and of images with padding."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.data.pairs import PreparedPairs
from common.data.prepared import Dataset, write
from common.engines.evaluation_scores import score_example
from common.engines.evaluator import RegistrationEvaluator
from common.errors import InputError
from common.files import file_hash
from common.metrics import LABEL_CURVES, LabelSparsification, mean_squared_error, mutual_information, pair_curves
from common.networks.channels import maps_of
from common.nifti import save_image
from common.spatial import warp

SHAPE = (12, 11, 9)
SHIFT = (1, -1, 0)
PAD = 3  # of the last axis
STEP = [-s for s in SHIFT]


def prepared_set(root: Path, labels: int = 2, masks: bool = True, without: tuple[str, ...] = ()) -> Path:
    """Three volumes of which the fixed one is the moving one, moved by SHIFT; the end of the last axis is padding."""
    rng, affine, pairs = np.random.default_rng(0), np.diag([1.0, 1.0, 1.0, 1.0]), []
    for number in range(3):
        moving = np.zeros(SHAPE, np.float32)
        moving[3:-3, 3:-3, :-PAD] = rng.random(moving[3:-3, 3:-3, :-PAD].shape)
        label = np.zeros(SHAPE, np.uint8)
        for value in range(1, labels + 1):
            label[4:7, 3 + value : 5 + value, 2 + number // 2 : 5] = value
        mask = np.ones(SHAPE, np.uint8)
        mask[..., -PAD:] = 0
        arrays = {"moving": moving, "fixed": np.roll(moving, STEP, (0, 1, 2))}
        arrays |= {"moving_label": label, "fixed_label": np.roll(label, STEP, (0, 1, 2))}
        if masks:
            arrays |= {"moving_mask": mask, "fixed_mask": mask}
        files = {key: f"{number}_{key}.nii.gz" for key in arrays if not (key in without and number == 0)}
        for key, name in files.items():
            save_image(root / name, arrays[key], affine)
        pairs.append({"id": f"p{number}", "subject": f"s{number}", **files})
    write(Dataset(root, "toy", 3, {1: "one", 2: "two"}, (1, 2), splits={"test": pairs}))
    return root


class Segmenting(nn.Module):
    """Move image and label by ``shift``, with those of the maps that it is asked for, made of the true error."""

    inputs, spatial_dims = 3, 3

    def __init__(self, shift: tuple[float, ...] = (0.4, 0, 0), maps: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.shift, self.maps, self.num_classes = nn.Parameter(torch.tensor(shift)), maps, 3
        numbered = [f"label_uncertainty_{c}" for c in range(self.num_classes)] if "label_uncertainty" in maps else []
        others = [name for name in maps if name != "label_uncertainty"]
        segmentation = [f"segmentation_{c}" for c in range(self.num_classes)]
        self.channels = ("ddf_0", "ddf_1", "ddf_2", *numbered, *others, *segmentation, "warped")

    def forward(self, image: Tensor) -> Tensor:
        def one_hot(label: Tensor) -> Tensor:
            return F.one_hot(label[:, 0].long(), self.num_classes).movedim(-1, 1).float()

        moving, _, label = image.split(1, dim=1)
        ddf = self.shift.view(1, -1, 1, 1, 1).expand(len(image), -1, *image.shape[2:])
        found = warp(one_hot(label), ddf)
        found[:, 0] += 1 - found.sum(1)
        # knows the motion: the error that a class will have
        error = (found - one_hot(torch.roll(label, STEP, (2, 3, 4)))).abs()
        maps = {"label_uncertainty": error, "ddf_variance": error.sum(1, True), "score": 1 - error.amax(1, True)}
        return torch.cat([ddf, *(maps[name] for name in self.maps), found, warp(moving, ddf)], dim=1)


def evaluate(root: Path, network: nn.Module, output: Path, **options: object) -> RegistrationEvaluator:
    evaluator = RegistrationEvaluator("cpu", network, PreparedPairs(root, "test"), output, **options)
    evaluator.run()
    return evaluator


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_set(tmp_path_factory.mktemp("padded"))


def test_the_channels_are_told_apart_by_their_names() -> None:
    names = ("ddf_0", "ddf_1", "label_uncertainty_0", "label_uncertainty_1", "ddf_variance", "segmentation_0", "warped")
    maps = maps_of(np.arange(7.0)[:, None] * np.ones((7, 4)), names)
    assert {name: found.shape for name, found in maps.items()} == {
        "ddf": (2, 4), "label_uncertainty": (2, 4), "ddf_variance": (4,), "segmentation": (1, 4), "warped": (4,),
    }  # fmt: skip
    assert [maps[name].flat[0] for name in ("ddf_variance", "warped")] == [4, 6]


def test_predicted_labels_that_are_right_have_full_dice_and_no_error(data: Path, tmp_path: Path) -> None:
    summary = evaluate(data, Segmenting(tuple(map(float, SHIFT))), tmp_path).summary
    assert [summary["label"][name] for name in ("dsc", "dsc_1", "dsc_2")] == [{"mean": 100, "sd": 0, "n": 3}] * 3
    judged = summary["label_sparsification"]
    assert [summary["label"][f"ause_{name}"]["mean"] for name in LABEL_CURVES] == pytest.approx([0, 0, 0], abs=1e-6)
    assert [judged[name]["ause"] for name in ("err", "mr", "fdr")] == pytest.approx([0, 0, 0], abs=1e-6)
    assert summary["not_computed"]["error_auroc"] == 3  # no error to find
    assert set(summary["protocols"]) == {"published", "standard"}
    assert summary["image"]["mse"]["mean"] == pytest.approx(0, abs=1e-9)


def test_the_uncertainty_that_is_the_error_is_an_oracle(data: Path, tmp_path: Path) -> None:
    evaluator = evaluate(data, Segmenting(maps=("label_uncertainty",)), tmp_path)
    judged = evaluator.summary["label_sparsification"]
    assert (judged["ranked_by"], judged["pairs"], judged["left_out"]) == ("label_uncertainty", 3, 0)
    assert judged["err"]["ause"] == pytest.approx(0, abs=1e-7)
    assert evaluator.map_name == "label_uncertainty"
    assert 0 < evaluator.summary["label"]["dsc"]["mean"] < 100
    assert evaluator.summary["error_auroc"] > 0.99
    curves = list(csv.DictReader((tmp_path / "label_sparsification.csv").read_text().splitlines()))
    assert [*curves[0]] == ["fraction", "err", "err_oracle", "mr", "mr_oracle", "fdr", "fdr_oracle"]
    assert (len(curves), float(curves[0]["err"]) > 0, float(curves[-1]["err"])) == (51, True, 0)
    assert json.loads((tmp_path / "metrics.json").read_text())["label_sparsification"] == judged


def test_another_map_ranks_where_there_is_none_of_the_labels(data: Path, tmp_path: Path) -> None:
    one = evaluate(data, Segmenting(maps=("ddf_variance",)), tmp_path / "one").summary
    assert one["label_sparsification"]["ranked_by"] == "ddf_variance"
    other = evaluate(data, Segmenting(maps=("score",)), tmp_path / "other").summary
    assert other["label_sparsification"]["ranked_by"] == "score"
    both = evaluate(data, Segmenting(maps=("label_uncertainty", "ddf_variance")), tmp_path / "both").summary
    assert both["label_sparsification"]["ranked_by"] == "label_uncertainty"


def test_without_any_map_the_squared_warping_error_ranks_and_finds(data: Path, tmp_path: Path) -> None:
    evaluator = evaluate(data, Segmenting(), tmp_path)
    summary = evaluator.summary
    assert summary["label_sparsification"]["ranked_by"] == "squared_error"
    assert 0 < summary["error_auroc"] < 1 and summary["not_computed"].keys() >= {"ause", "spearman"}
    judged, alone = LabelSparsification(3), []
    for index in range(3):
        item = evaluator.dataset[index]
        label = item["moving_label"].float()
        with torch.no_grad():
            pred = evaluator.network(torch.cat([item["moving"], item["fixed"], label])[None])[0].numpy()
        error = (item["fixed"][0].numpy() - pred[-1]) ** 2
        pair = pred[3:6], item["fixed_label"][0].numpy(), error, item["fixed_mask"][0].numpy()
        judged.add(*pair)
        alone.append(pair_curves(*pair).ause)
    for name, area in judged.curves().ause.items():
        found = summary["label_sparsification"][name]
        assert found["ause_pooled"] == pytest.approx(area, rel=1e-6)
        assert found["ause"] == pytest.approx(np.mean([each[name] for each in alone]), rel=1e-6)


def test_examples_keep_one_label_map_and_the_mask(data: Path, tmp_path: Path) -> None:
    evaluate(data, Segmenting(maps=("label_uncertainty",)), tmp_path, examples=1)
    with np.load(tmp_path / "examples.npz") as examples:
        names = {name.removeprefix("0/") for name in examples.files}
        assert {"segmentation", "uncertainty", "warped_label", "fixed_mask"} <= names
        assert "label_uncertainty" not in names
        assert (examples["0/segmentation"].dtype, examples["0/segmentation"].shape) == (np.uint8, SHAPE)
        assert examples["0/uncertainty"].shape == SHAPE
        assert json.loads(str(examples["meta"]))["uncertainty"] == "label_uncertainty"


def test_classes_that_both_lack_are_left_out_and_a_pair_without_any_is_counted(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", labels=1)
    summary = evaluate(root, Segmenting(), tmp_path / "out").summary
    assert summary["not_computed"]["label/dsc_2"] == 3 and "label/dsc" not in summary["not_computed"]
    assert summary["label"]["dsc"] == summary["label"]["dsc_1"]
    empty = prepared_set(tmp_path / "empty", labels=0)
    summary = evaluate(empty, Segmenting(), tmp_path / "nothing").summary
    assert summary["not_computed"]["label/dsc"] == 3


@pytest.mark.parametrize("key", ["moving_label", "fixed_label"])
def test_a_pair_without_a_label_does_not_take_the_others_labels_away(tmp_path: Path, key: str) -> None:
    root = prepared_set(tmp_path / "data", without=(key,))
    evaluator = evaluate(root, Segmenting(tuple(map(float, SHIFT))), tmp_path / "out")
    assert [row["label/dsc"] for row in evaluator.rows[1:]] == [100, 100]
    first, judged = evaluator.rows[0]["label/dsc"], evaluator.summary["label_sparsification"]
    if key == "fixed_label":
        assert np.isnan(first) and (judged["pairs"], judged["left_out"]) == (2, 1)
    else:
        assert first == 0 and judged["pairs"] == 3  # an empty label to carry over


@pytest.mark.parametrize("key", ["moving_label", "fixed_label"])
def test_a_label_that_the_network_does_not_know_is_named(tmp_path: Path, key: str) -> None:
    root = prepared_set(tmp_path / "data")
    label = np.zeros(SHAPE, np.uint8)
    label[2, 2, 2] = 7
    save_image(root / f"1_{key}.nii.gz", label, np.eye(4))
    with pytest.raises(InputError, match=rf"1_{key}.nii.gz: .*7.*num_classes is 3"):
        evaluate(root, Segmenting(), tmp_path / "out")
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_an_ensemble_names_its_members(data: Path, tmp_path: Path) -> None:
    network = Segmenting(maps=("label_uncertainty", "ddf_variance"))
    network.members = [tmp_path / f"{name}.pt" for name in "ab"] + [tmp_path / "a.pt"]
    for name in "ab":
        (tmp_path / f"{name}.pt").write_text(name)
    summary = evaluate(data, network, tmp_path / "out").summary
    assert summary["checkpoint"] is None
    assert [each["checkpoint"] for each in summary["members"]] == [str(path) for path in network.members]
    assert [each["checkpoint_sha256"] for each in summary["members"]] == [file_hash(path) for path in network.members]


def prediction_of(data: PreparedPairs, index: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(index)
    found = np.moveaxis(rng.dirichlet(np.ones(3), SHAPE), -1, 0).astype(np.float32)
    field = rng.normal(0, 0.5, (3, *SHAPE)).astype(np.float32)
    images = {name: rng.random(SHAPE).astype(np.float32) for name in ("warped", "uncertainty")}
    return {"ddf": field, "segmentation": found, **images}


def test_nothing_in_the_padding_counts(data: Path) -> None:
    pairs = PreparedPairs(data, "test")
    first = prediction_of(pairs, 0)
    second = {name: values.copy() for name, values in first.items()}
    for name in ("warped", "uncertainty", "segmentation"):
        second[name][..., -PAD:] = np.random.default_rng(9).random(second[name][..., -PAD:].shape)
    rows = [score_example(pairs, 0, each, "log_variance", (1, 2), 0.1).row for each in (first, second)]
    assert rows[0].pop("nlcc") == pytest.approx(rows[1].pop("nlcc"), rel=0.1)  # windows at the edge see beyond it
    assert rows[0] == pytest.approx(rows[1])
    warped, fixed, mask = first["warped"], pairs[0]["fixed"][0].numpy(), pairs[0]["fixed_mask"][0].numpy()
    assert rows[0]["mse"] == mean_squared_error(warped, fixed, mask)
    assert rows[0]["mi"] == mutual_information(warped, fixed, mask)


def test_a_label_carried_into_the_padding_does_not_count(tmp_path: Path) -> None:
    shift = np.float32([1, -1, 0])[:, None, None, None] * np.ones((1, *SHAPE), np.float32)
    far = shift.copy()
    far[2, ..., -PAD:] = -5  # fetches the structures into the padding
    for masks in (True, False):
        pairs = PreparedPairs(prepared_set(tmp_path / str(masks), masks=masks), "test")
        scores = []
        for field in (shift, far):
            prediction = {"ddf": field, "warped": np.zeros(SHAPE, np.float32)}
            scores.append(score_example(pairs, 0, prediction, None, (1, 2), 0.1).row["standard/dsc"])
        assert scores[0] == 100
        assert (scores[1] == 100) == masks


def test_rows_of_networks_without_classes_have_no_label_columns(data: Path, tmp_path: Path) -> None:
    pairs = PreparedPairs(data, "test")
    prediction = prediction_of(pairs, 0)
    del prediction["segmentation"], prediction["uncertainty"]
    row = score_example(pairs, 0, prediction, None, (1, 2), 0.1).row
    assert not [name for name in row if name.startswith("label/")]
    assert np.isnan(row["error_auroc"]) and row["mse"] > 0
