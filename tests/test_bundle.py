"""How a bundle finds itself, starts, and refuses what is misspelt: in the process of the test, without a shell."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow
from monai.bundle import load as monai_load
from monai.bundle import run as monai_run

from common import bundle
from common.data import PreparedPairs
from common.errors import InputError, input_error_in

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"
Run = Callable[..., None]


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the start of a run changes in its process, changed back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ignite, root = logging.getLogger("ignite.engine"), logging.getLogger()
    levels, handlers, benchmark = (ignite.level, root.level), root.handlers[:], torch.backends.cudnn.benchmark
    yield
    ignite.setLevel(levels[0])
    root.setLevel(levels[1])
    root.handlers[:] = handlers
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, benchmark


@pytest.fixture
def run(restored: None, tiny_dataset: Path, tmp_path: Path) -> Run:
    """``run(run_id, **overrides)``: `monai.bundle run` of vxm_mse on the tiny data set; an InputError is unwrapped."""

    def run_bundle(run_id: str = "training", files: Sequence[Path] = (), **overrides: Any) -> None:
        configs = [str(BUNDLES / "vxm_mse" / "configs" / "train.yaml"), *map(str, files)]
        fixed = {"dataset_dir": str(tiny_dataset), "output_dir": str(tmp_path / "run"), "max_epochs": 1}
        cpu = {"device": "cpu", "precision": "float32"}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="parsing config_file")
            try:
                monai_run(run_id, config_file=configs, **{**fixed, **cpu, **overrides})
            except Exception as error:
                raise input_error_in(error) or error from None

    return run_bundle


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("max_epoch", "max_epochs"),
        ("batchsize", "batch_size"),
        ("network#integration_step", "network#integration_steps"),
        ("train#trainer#max_epoch", "train#trainer#max_epochs"),
        ("train#handlers#6#resum", "train#handlers#6#resume"),
        ("objective#smooth_weigth", "objective#smooth_weight"),
        ("network#kwargs", "network#_target_"),
    ],
)
def test_a_misspelt_override_is_refused_by_name(run: Run, tmp_path: Path, override: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        run(**{override: 3})
    message = str(caught.value)
    assert message.startswith(f"--{override}: no such setting in ") and "\n" not in message
    assert message.endswith(f"did you mean --{nearest}?")
    assert not (tmp_path / "run").exists()


def test_a_misspelt_run_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run trainig: no such key in .*; did you mean training?"):
        run(run_id="trainig")
    assert not (tmp_path / "run").exists()


def test_run_is_training(run: Run, tmp_path: Path) -> None:
    run(run_id="run")
    assert (tmp_path / "run" / "model.pt").is_file()


def test_arguments_that_do_not_stand_in_the_config_can_be_set(run: Run, tmp_path: Path) -> None:
    run(**{"network#variant": "fast", "train#handlers#6#resume": "no", "optimizer#weight_decay": 1e-3})
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["optimizer"]["param_groups"][0]["weight_decay"] == 1e-3
    assert state["network"]["estimator.backbone.final.0.weight"].shape[1] == 32  # without the finest skip


def test_a_network_of_ones_own_brings_its_own_arguments(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_network.py").write_text(
        "from common.networks import VoxelMorph\n"
        "class Net(VoxelMorph):\n"
        "    def __init__(self, spatial_dims, width):\n"
        "        super().__init__(spatial_dims, final=(width,))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run(**{"network#width": 4, "network#_target_": "own_network.Net"})
    state = torch.load(tmp_path / "run" / "model.pt", weights_only=True)
    assert state["estimator.flow.weight"].shape[1] == 4


@pytest.mark.parametrize(("word", "meant"), [("false", False), ("true", True), ("no", False), ("yes", True)])
def test_words_mean_what_they_mean_in_yaml(run: Run, monkeypatch: pytest.MonkeyPatch, word: str, meant: bool) -> None:
    seen: dict[str, Any] = {}
    target = "common.engines.trainer.SingleTrainer.__init__"
    monkeypatch.setattr(target, lambda self, **settings: seen.update(settings))
    monkeypatch.setattr("common.engines.trainer.SingleTrainer.run", lambda self: None)
    run(bidirectional=word, foreground=word, clip_norm="null")
    assert seen["bidirectional"] is meant and seen["foreground"] is meant and seen["clip_norm"] is None


def test_resume_false_begins_anew(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    capsys.readouterr()
    run()
    assert "trained already, at epoch 1 of 1" in capsys.readouterr().out
    run(resume="false")
    assert "trained already" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["study #1", "a#b", "a@b::c", "50%", "20240101"])
def test_a_folder_may_be_called_anything(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    run(output_dir=int(name) if name.isdecimal() else str(tmp_path / name))
    assert (tmp_path / name / "model.pt").is_file() and [path.name for path in tmp_path.iterdir()] == [name]


def test_further_files_add_their_keys(run: Run, tmp_path: Path) -> None:
    further = tmp_path / "further.yaml"
    further.write_text("learning_rate: 0.1\nmine: 3\n+imports:\n  - $import math\n+network:\n  integration_steps: 2\n")
    run(files=[further], mine=4)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["settings"]["learning_rate"] == 0.1
    with pytest.raises(InputError, match="--mine: no such setting"):
        run(mine=4)


def test_the_keys_of_tracking_belong_to_tracking(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--experiment_name: no such setting"):
        run(experiment_name="mine")
    pytest.importorskip("mlflow")
    run(tracking="mlflow", experiment_name="mine", tracking_uri=f"sqlite:///{tmp_path}/mlruns.db")
    assert (tmp_path / "mlruns.db").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"dataset_dir": "/nowhere"}, "/nowhere: no such folder"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"spatial_dims": 4}, "spatial_dims is 4"),
        ({"max_epochs": 0}, "max_epochs is 0: expected a whole number from 1."),
        ({"max_epochs": "x"}, "max_epochs is 'x'"),
        ({"train#trainer#max_epochs": -1}, "train#trainer#max_epochs is -1"),
        ({"learning_rate": "nan"}, "learning_rate is 'nan': expected a number of at least 0."),
        ({"smooth_weight": float("nan")}, "smooth_weight is nan"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"bidirectional": "maybe"}, "bidirectional is 'maybe': expected true or false."),
        ({"device": "foo"}, "device is 'foo': expected cpu, or cuda where PyTorch sees a GPU."),
        ({"output_dir": ""}, "output_dir is '': expected a path"),
        ({"output_dir": "@x"}, "output_dir is '@x': expected a path, as ./NAME where"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    run: Run, tmp_path: Path, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(**overrides)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "run").exists()


def test_several_processes_need_torchrun(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="start it by `torchrun"):
        run(files=[BUNDLES / "vxm_mse" / "configs" / "multi_gpu_train.yaml"])


def test_a_bundle_finds_itself_where_it_is_copied(tmp_path: Path) -> None:
    copied = shutil.copytree(BUNDLES / "vxm_mse", tmp_path / "elsewhere" / "copied")
    workflow = workflow_of(copied / "configs" / "train.yaml")
    workflow.parser["initialize"] = ["$@bundle_root"]
    assert workflow.initialize() == [str(copied)]


def test_outside_of_a_workflow_a_bundle_is_the_one_in_the_repository() -> None:
    assert bundle.root("vxm_mse") == str(BUNDLES / "vxm_mse")


def test_a_bundle_writes_into_its_own_folder(tmp_path: Path) -> None:
    assert bundle.folder(str(tmp_path / "copied"), "runs/train") == str(tmp_path / "copied" / "runs" / "train")
    assert bundle.phantom_dir(str(tmp_path), 3) == str(tmp_path / "data" / "phantom_3d")


def test_an_installed_bundle_writes_where_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages" / "warpsure" / "bundles"
    monkeypatch.setattr(bundle, "INSTALLED", installed)
    monkeypatch.chdir(tmp_path)
    assert bundle.folder(str(installed / "vxm_mse"), "runs/train") == str(tmp_path / "vxm_mse" / "runs" / "train")
    assert bundle.phantom_dir(str(installed / "vxm_mse")) == str(tmp_path / "vxm_mse" / "data" / "phantom_2d")


def workflow_of(config: Path, **overrides: Any) -> ConfigWorkflow:
    return ConfigWorkflow(config_file=str(config), workflow_type="train", logging_file=False, **overrides)


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLES.iterdir() if path.is_dir()))
def test_every_bundle_has_the_properties_of_a_training(
    restored: None, name: str, tiny_dataset: Path, tmp_path: Path
) -> None:
    settings = {"dataset_dir": str(tiny_dataset), "output_dir": str(tmp_path / "run"), "device": "cpu"}
    workflow = workflow_of(BUNDLES / name / "configs" / "train.yaml", spatial_dims=2, **settings)
    workflow.initialize()
    assert workflow.check_properties() == []
    assert not (tmp_path / "run").exists()


def test_a_seed_sets_every_generator(restored: None) -> None:
    drawn = []
    for seed in (3, 3, 4):
        bundle.start(seed)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_default_device_is_the_gpu_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert bundle.default_device() == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bundle.default_device() == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:parsing config_file")
def test_loading_a_bundle_by_its_training_gives_the_network_of_its_weights(restored: None, tmp_path: Path) -> None:
    folder = tmp_path / "vxm_predictive"
    shutil.copytree(BUNDLES / "vxm_predictive", folder, ignore=shutil.ignore_patterns("data", "runs", "eval"))
    config = yaml.safe_load((folder / "configs" / "train.yaml").read_text())
    (folder / "configs" / "train.json").write_text(json.dumps(config))
    network = monai_load("vxm_predictive", bundle_dir=tmp_path, device="cpu")
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert network.num_classes == 3
    assert all(torch.equal(value, weights[key].to(value)) for key, value in network.state_dict().items())
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("device", "capabilities", "precision"),
    [
        ("cuda", {}, "bfloat16"),
        ("cpu", {"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ("cpu", {"avx2": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ("cpu", {"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ("cpu", {}, "float32"),
    ],
)
def test_networks_train_in_what_the_processor_multiplies(
    monkeypatch: pytest.MonkeyPatch, device: str, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bundle.default_precision(device) == precision


def test_the_network_is_that_of_the_weights_and_of_other_files_that_of_the_config() -> None:
    models = Path(bundle.root("vxm_mse")) / "models"
    assert bundle.of_weights(str(models / "model_acdc_iterated.pt"), "cascades", 1) == 3
    assert bundle.of_weights(str(models / "model.pt"), "cascades", 1) == 1
    assert bundle.of_weights("runs/model.pt", "cascades", 2) == 2
    assert bundle.of_weights(["a.pt", "b.pt"], "variant", "published") == "published"


@pytest.mark.parametrize(
    ("spacing", "affine", "said"),
    [((1.8, 1.8, 10.0), "pair", True), ((1.8, 1.8, 10.0), "in_plane", False), ((1.5, 1.5, 3.0), "image", False)],
)
def test_a_motion_that_tears_volumes_of_thick_slices_is_told_of(
    spacing: tuple[float, ...], affine: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bundle.augmentation(affine, 0, SimpleNamespace(spacing=spacing)).affine == affine
    told = (
        "warning: voxels of 1.8 x 1.8 x 10 mm, turned as if they were cubes, tear volumes; take --augmentation in_plane"
    )
    assert capsys.readouterr().out == (f"{told}.\n" if said else "")


def test_a_data_set_says_how_large_its_voxels_are(tiny_dataset: Path) -> None:
    (image,) = list((tiny_dataset / "images").glob("*_fixed*"))[:1]
    zooms = nib.load(image).header.get_zooms()[:2]
    assert PreparedPairs(tiny_dataset, "train").spacing == pytest.approx(zooms)
