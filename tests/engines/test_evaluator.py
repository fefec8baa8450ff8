from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.data.loader import PairLoader
from common.data.pairs import PreparedPairs
from common.data.prepared import Dataset, read, write
from common.engines import evaluation_tables as tables
from common.engines.evaluation_scores import examples_of, score_example
from common.engines.evaluator import RegistrationEvaluator
from common.engines.validation import quick_metrics
from common.errors import InputError
from common.interfaces import Deformation
from common.io import save_weights
from common.nifti import save_image
from common.spatial import warp

SHIFT = (2.0, -1.0, 1.0)
SPACING = (1.5, 2.0, 5.0)


class Constant(nn.Module):
    """Move everything by ``shift``; the map is the squared difference, or none."""

    def __init__(self, shift: tuple[float, ...], map_name: str | None = None) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.spatial_dims, self.map_name = len(shift), map_name
        self.channels = (*(f"ddf_{a}" for a in range(len(shift))), *([map_name] if map_name else []), "warped")

    def forward(self, image: Tensor) -> Tensor:
        ddf = self.shift.view(1, -1, *[1] * self.spatial_dims).expand(len(image), -1, *image.shape[2:])
        warped = warp(image[:, :1], ddf)
        error = (warped - image[:, 1:]) ** 2
        maps = {"log_variance": [torch.log(error + 1e-6)], "score": [1 - error], None: []}[self.map_name]
        return torch.cat([ddf, *maps, warped], dim=1)


def blob(shape: tuple[int, ...], centre: tuple[int, ...], radius: float) -> np.ndarray:
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=False)) <= radius**2


def prepared_set(root: Path, dims: int, labels: bool = True, shape: tuple[int, ...] = (21, 19, 3)) -> Path:
    """Two subjects whose fixed image is the moving one moved by SHIFT; label 2 counts, the first slice lacks it."""
    rng = np.random.default_rng(0)
    affine, pairs = np.diag([*SPACING, 1.0]), []
    for subject in ("a", "b"):
        moving = np.zeros(shape, np.float32)
        moving[4:-4, 4:-4] = rng.random(moving[4:-4, 4:-4].shape)
        if dims == 3:
            moving[..., [0, -1]] = 0  # nothing leaves the image, so nothing comes back on the other side
        label = 2 * blob(shape, (10, 9, shape[2] // 2), 4).astype(np.uint8)
        if dims == 2:
            label[..., 0] = 1
        step = tuple(-int(s) for s in SHIFT[:dims])
        axes = tuple(range(dims))
        arrays = {"moving": moving, "fixed": np.roll(moving, step, axes)}
        masks = {"moving_label": label, "fixed_label": np.roll(label, step, axes)} if labels else {}
        field = np.broadcast_to(np.float32(SHIFT[:dims]), (*shape, dims))
        truth = {"displacement": field, "variance": arrays["fixed"], "non_correspondence": arrays["fixed"] > 0.7}
        files = {key: f"{subject}_{key}.nii.gz" for key in (*arrays, *masks, *truth)}
        for key, array in (arrays | masks | truth).items():
            save_image(root / files[key], np.asarray(array), affine)
        entry = {key: files[key] for key in (*arrays, *masks)} | {"truth": {key: files[key] for key in truth}}
        entry |= {"subject": subject, "group": "G"}
        slices = range(shape[2]) if dims == 2 else [None]
        pairs += [{"id": f"{subject}{k}", **entry} | ({} if k is None else {"slice": k}) for k in slices]
    write(Dataset(root, "toy", dims, {1: "one", 2: "two"}, (2,), splits={"test": pairs}))
    return root


def evaluate(root: Path, network: nn.Module, output: Path, **options: object) -> RegistrationEvaluator:
    evaluator = RegistrationEvaluator("cpu", network, PreparedPairs(root, "test"), output, **options)
    evaluator.run()
    return evaluator


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_truth_is_perfect_and_identity_is_undeformed(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2)
    summary = evaluate(root, Constant(SHIFT[:2], "log_variance"), tmp_path / "truth").summary
    # only rounding separates the warped image from the fixed one
    assert summary["protocols"]["standard"]["dsc"] == {"mean": 100, "sd": 0, "n": 4}
    assert summary["protocols"]["published"]["dsc"]["mean"] == 100
    assert summary["protocols"]["standard"]["hd_mm"]["mean"] == 0
    assert summary["truth"]["endpoint_error"]["mean"] == 0
    assert summary["truth"]["undeformed_endpoint_error"]["mean"] == pytest.approx(5**0.5)
    assert summary["folding_percent"] == 0
    assert summary["undeformed"]["standard"]["dsc"]["mean"] < 90
    identity = evaluate(root, Constant((0.0, 0.0), "score"), tmp_path / "identity").summary
    assert identity["protocols"] == identity["undeformed"] == summary["undeformed"]


def test_a_map_that_is_the_error_has_no_sparsification_error(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2)
    for name in ("log_variance", "score"):
        summary = evaluate(root, Constant((0.0, 0.0), name), tmp_path / name).summary
        assert summary["ause"] == pytest.approx(0, abs=1e-6)
        assert summary["aurg"] > 0
        assert summary["spearman"] > 0.99
    assert summary["truth"]["score_auroc"]["n"] == 6
    assert summary["truth"]["variance_spearman"]["n"] == 0


def test_what_lacks_the_label_is_left_out_and_counted(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2)
    summary = evaluate(root, Constant((0.0, 0.0)), tmp_path / "out").summary
    assert summary["not_computed"]["published/dsc"] == summary["not_computed"]["undeformed/standard/hd"] == 2
    assert summary["not_computed"]["ause"] == 6  # no map
    rows = rows_of(tmp_path / "out" / "metrics.csv")
    assert rows[0]["standard/dsc"] == rows[0]["ause"] == ""
    assert float(rows[1]["standard/dsc"]) > 0


def test_the_files_are_those_of_the_contract(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2)
    output = tmp_path / "out"
    save_weights(Constant((1.0, 0.0), "log_variance"), tmp_path / "model.pt")
    network = Constant((0.0, 0.0), "log_variance")
    evaluate(root, network, output, checkpoint=tmp_path / "model.pt", bundle="toy_net", examples=2, batch_size=4)
    assert network.shift.tolist() == [1, 0]
    assert sorted(p.name for p in output.iterdir()) == sorted(
        ["metrics.csv", "patients.csv", "metrics.json", "sparsification.csv", "examples.npz"]
    )
    rows = rows_of(output / "metrics.csv")
    assert [row["id"] for row in rows] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert [*rows[0]][:4] == ["id", "subject", "group", "slice"]
    assert {"published/asd", "standard/asd_mm", "undeformed/published/hd95", "spearman", "seconds"} <= set(rows[0])
    assert {"error_auroc", "error_auroc_band"} <= set(rows[0])
    patients = rows_of(output / "patients.csv")
    assert [(row["subject"], row["group"], row["pairs"]) for row in patients] == [("a", "G", "3"), ("b", "G", "3")]
    mean = np.mean([float(row["standard/dsc"]) for row in rows[1:3]])
    assert float(patients[0]["standard/dsc"]) == pytest.approx(mean, rel=1e-6)
    summary = json.loads((output / "metrics.json").read_text())
    assert (summary["dataset"], summary["split"], summary["bundle"], summary["pairs"]) == ("toy", "test", "toy_net", 6)
    assert summary["seconds_per_pair"] > 0
    curve = rows_of(output / "sparsification.csv")
    assert [*curve[0]] == ["fraction", "model", "oracle", "random"]
    assert float(curve[-1]["fraction"]) == 1
    with np.load(output / "examples.npz") as examples:
        assert json.loads(str(examples["meta"])) == {"ids": ["a0", "b2"], "uncertainty": "log_variance"}
        assert examples["1/ddf"].shape == (2, 21, 19)
        names = {"moving", "fixed", "warped", "ddf", "uncertainty", "moving_label", "fixed_label", "warped_label"}
        assert {name for name in examples.files if name.startswith("1/")} == {f"1/{name}" for name in names}


def test_a_map_that_is_the_label_error_finds_it(tmp_path: Path) -> None:
    pairs = PreparedPairs(prepared_set(tmp_path / "data", 2), "test")
    still = {"ddf": np.zeros((2, 21, 19), np.float32), "warped": np.zeros((21, 19), np.float32)}
    first = score_example(pairs, 1, still, None, (2,), 0.1)
    assert np.isnan(first.row["error_auroc"]) and np.isnan(first.row["error_auroc_band"])  # no map
    wrong = (first.arrays["warped_label"] != first.arrays["fixed_label"]).astype(np.float32)
    for name, uncertainty in (("displacement_log_variance", wrong), ("score", 1 - wrong)):
        row = score_example(pairs, 1, still | {"uncertainty": uncertainty}, name, (2,), 0.1).row
        assert row["error_auroc"] == row["error_auroc_band"] == 1
    perfect = {"ddf": np.float32(SHIFT[:2])[:, None, None] * np.ones((1, 21, 19), np.float32), "warped": wrong}
    row = score_example(pairs, 1, perfect | {"uncertainty": wrong}, "score", (2,), 0.1).row
    assert np.isnan(row["error_auroc"])  # no error


def test_another_method_writes_the_same_files_and_failed_pairs_are_counted(tmp_path: Path) -> None:
    pairs = PreparedPairs(prepared_set(tmp_path / "data", 2), "test")
    reference = evaluate(pairs.dataset.root, Constant(SHIFT[:2]), tmp_path / "network")
    field = np.float32(SHIFT[:2])[:, None, None] * np.ones((1, 21, 19), np.float32)
    scored = []
    for index in range(len(pairs)):
        warped = warp(pairs[index]["moving"][None], torch.from_numpy(field)[None])[0, 0].numpy()
        prediction = None if index == 4 else {"ddf": field, "warped": warped}
        scored.append(score_example(pairs, index, prediction, None, (2,), 0.5 if prediction else np.nan))
    about = tables.about_evaluation(pairs, "elastix", (2,))
    kept = {scored[i].row["id"]: scored[i].arrays for i in examples_of(2, len(pairs))}
    rows, curves = [each.row for each in scored], [each.curve for each in scored]
    summary = tables.write_evaluation(tmp_path / "out", rows, curves, kept, None, about)
    assert (summary["bundle"], summary["checkpoint"], summary["failed"]) == ("elastix", None, 1)
    assert (reference.summary["failed"], summary["seconds_per_pair"]) == (0, 0.5)
    assert summary["not_computed"]["standard/dsc"] == reference.summary["not_computed"]["standard/dsc"] + 1
    assert summary["undeformed"] == reference.summary["undeformed"]
    written = rows_of(tmp_path / "out" / "metrics.csv")
    method = [name for name in written[4] if name not in tables.IDENTITY and "undeformed" not in name]
    assert {written[4][name] for name in method} == {""}
    for mine, theirs in zip(written, rows_of(tmp_path / "network" / "metrics.csv"), strict=True):
        assert list(mine) == list(theirs)
        assert mine["id"] == "b1" or mine | {"seconds": ""} == theirs | {"seconds": ""}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {p.name for p in (tmp_path / "network").iterdir()}


class Way(nn.Module):
    """An estimator whose way is a straight line."""

    def path(self, moving: Tensor, fixed: Tensor, etas: list[float]) -> Tensor:
        shift = torch.tensor(SHIFT[:2]).view(2, 1, 1).expand(len(moving), 2, *moving.shape[2:])
        return torch.stack([eta * shift for eta in etas])


def test_examples_may_be_named_and_keep_the_way_of_a_network_that_has_one(tmp_path: Path) -> None:
    root, network = prepared_set(tmp_path / "data", 2), Constant(SHIFT[:2])
    network.estimator = Way()
    evaluate(root, network, tmp_path / "out", examples=["b1", "a2"])
    with np.load(tmp_path / "out" / "examples.npz") as examples:
        assert json.loads(str(examples["meta"]))["ids"] == ["a2", "b1"]  # in the split's order
        path, moving, warped = (examples[f"1/{name}"] for name in ("path", "moving", "warped"))
    assert path.shape == (8, 21, 19)
    assert np.allclose(path[0], moving, atol=1e-5) and np.allclose(path[-1], warped, atol=1e-5)
    with pytest.raises(InputError, match="'c9' is no pair of split 'test'"):
        evaluate(root, network, tmp_path / "out", examples=["c9"])


def test_pairs_without_labels_or_map_are_fine(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 3, labels=False)
    summary = evaluate(root, Constant(SHIFT), tmp_path / "out").summary
    text = (tmp_path / "out" / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["protocols"]["standard"]["dsc"] == {"mean": None, "sd": None, "n": 0}
    assert summary["truth"]["endpoint_error"] == {"mean": 0, "sd": 0, "n": 2}
    assert rows_of(tmp_path / "out" / "sparsification.csv")[3]["model"] == ""


def test_volumes_are_scored_in_their_spacing(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 3, shape=(21, 19, 11))
    standard = evaluate(root, Constant(SHIFT), tmp_path / "out").summary["protocols"]["standard"]
    assert standard["dsc"]["mean"] == 100
    undeformed = evaluate(root, Constant((0.0,) * 3), tmp_path / "zero").summary["undeformed"]["standard"]
    assert undeformed["hd_mm"]["mean"] > undeformed["hd"]["mean"] > 1


def test_pairs_of_several_sizes_go_in_batches_of_one_size(tmp_path: Path) -> None:
    first, second = prepared_set(tmp_path / "one", 2), prepared_set(tmp_path / "one" / "two", 2, shape=(25, 30, 2))
    pairs = read(first).pairs("test")
    keys = ("moving", "fixed", "moving_label", "fixed_label")
    others = [{**p, **{k: f"two/{p[k]}" for k in keys}, "truth": {}} for p in read(second).pairs("test")]
    write(replace(read(first), splits={"test": [*pairs, *others]}))
    evaluator = evaluate(first, Constant(SHIFT[:2]), tmp_path / "out", batch_size=4)
    assert len(evaluator.rows) == 10
    assert evaluator.summary["protocols"]["standard"]["dsc"]["mean"] == 100
    assert evaluator.summary["truth"]["endpoint_error"]["n"] == 6


@pytest.mark.parametrize("name", [None, "log_variance"])
def test_a_network_of_images_registers_volumes_slice_by_slice(tmp_path: Path, name: str | None) -> None:
    root = prepared_set(tmp_path / "data", 3)
    flat, deep = (
        evaluate(root, Constant(shift, name), tmp_path / str(len(shift))) for shift in (SHIFT[:2], (*SHIFT[:2], 0.0))
    )
    assert flat.summary["protocols"] == deep.summary["protocols"] != deep.summary["undeformed"]
    errors = [each.summary["truth"]["endpoint_error"]["mean"] for each in (flat, deep)]
    assert errors == pytest.approx([1.0, 1.0], abs=1e-6)
    assert flat.summary["ause"] == pytest.approx(deep.summary["ause"], rel=1e-4, nan_ok=True)
    assert flat.channels == deep.channels


def test_a_network_of_other_dimensions_is_refused(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2)
    with pytest.raises(InputError, match="pairs are 2D but the network is 3D"):
        RegistrationEvaluator("cpu", Constant(SHIFT), PreparedPairs(root, "test"), tmp_path)


def test_an_output_that_cannot_be_written_ends_before_the_work(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2)
    (tmp_path / "file").write_text("")
    pairs = PreparedPairs(root, "test")
    evaluator = RegistrationEvaluator("cpu", Constant((0.0, 0.0)), pairs, tmp_path / "file" / "out")
    with pytest.raises(InputError, match="cannot be written"):
        evaluator.run()
    assert not evaluator.rows


class Estimator(nn.Module):
    """The displacement estimator inside of ``Constant``."""

    def __init__(self, network: Constant) -> None:
        super().__init__()
        self.network = network

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        return Deformation(self.network(torch.cat([moving, fixed], dim=1))[:, : self.network.spatial_dims])


@pytest.mark.parametrize("dims", [2, 3])
def test_quick_validation_agrees_with_the_evaluation(tmp_path: Path, dims: int) -> None:
    root = prepared_set(tmp_path / "data", dims, shape=(21, 19, 7))
    network = Constant((0.4, -0.7, 0.3)[:dims])
    estimator = Estimator(network).train()
    quick = quick_metrics(estimator, PairLoader(PreparedPairs(root, "test"), batch_size=5), "float32")
    assert estimator.training
    protocols = evaluate(root, network, tmp_path / "out").summary["protocols"]
    for protocol in ("published", "standard"):
        assert quick[f"{protocol}/dsc"] == pytest.approx(protocols[protocol]["dsc"]["mean"], abs=1e-3)
    assert quick["mse"] > 0 and quick["folding_percent"] == 0
    perfect = quick_metrics(Estimator(Constant(SHIFT[:dims])), PairLoader(PreparedPairs(root, "test")), "float32")
    assert perfect["mse"] == pytest.approx(0, abs=1e-6)


def test_quick_validation_without_labels_has_the_image_error(tmp_path: Path) -> None:
    root = prepared_set(tmp_path / "data", 2, labels=False)
    quick = quick_metrics(Estimator(Constant((0.0, 0.0))), PairLoader(PreparedPairs(root, "test")), "float32")
    assert quick.keys() == {"mse", "folding_percent"} and quick["mse"] > 0


def test_what_json_has_no_number_for_is_null(tmp_path: Path) -> None:
    tables.write_json(tmp_path / "a.json", {"a": [1.5, float("nan"), (float("inf"), 2)], "b": {"c": -float("inf")}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, None, [None, 2]], "b": {"c": None}}
