"""What a training begins with: weights by name, bundle, run and file, whatever of them fits, and once."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from torch import nn

from common.collection.find import BUNDLES
from common.collection.weights import weights_of
from common.engines import SingleTrainer
from common.errors import InputError
from common.initial import Beginning, few_steps, find_weights
from common.networks import RegistrationNetwork, VarianceEstimator, VoxelMorph

MakeTrainer = Callable[..., SingleTrainer]
RunBundle = Callable[..., subprocess.CompletedProcess]
MSE = BUNDLES / "vxm_mse"
SILENT = SimpleNamespace(steps=lambda: 10**9)
Lines = Callable[[], list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Lines:
    """The lines printed since the last call."""
    return lambda: capsys.readouterr().out.splitlines()


def state_of(name: str, weights: str | None = None) -> dict[str, torch.Tensor]:
    own = weights_of(BUNDLES / name)
    return torch.load(own[weights or next(iter(own))].file, weights_only=True)


def begun(network: nn.Module, init: object, root: Path = MSE) -> dict[str, torch.Tensor]:
    Beginning(str(init), root)(network, SILENT)
    return network.state_dict()


def assert_holds(state: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    for key, value in wanted.items():
        assert state[key].dtype == torch.float32 and torch.equal(state[key], value.float()), key


def test_weights_of_the_bundle_are_found_by_their_names(said: Lines) -> None:
    for name in ("acdc", "camus"):
        wanted = state_of("vxm_mse", name)
        assert_holds(begun(RegistrationNetwork(VoxelMorph()), name), wanted)
        (line,) = said()
        assert line == f"init {name}: {len(wanted)} of {len(wanted)} tensors loaded from {weights_of(MSE)[name].file}"


def test_weights_of_another_bundle_are_found_and_what_does_not_fit_is_said(said: Lines) -> None:
    network = RegistrationNetwork(VoxelMorph(), VarianceEstimator(), "log_variance")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for init, name in (("vxm_mse", "acdc"), ("vxm_mse:camus", "camus")):
        wanted = state_of("vxm_mse", name)
        state = begun(network, init, BUNDLES / "vxm_hetero")
        assert_holds(state, wanted)
        companion = [key for key in state if key.startswith("companion.")]
        assert all(torch.equal(state[key], before[key]) for key in companion)
        first, second = said()
        assert first.startswith(f"init {init}: {len(wanted)} of {len(state)} tensors loaded from ")
        more = f" and {len(companion) - 3} more" * (len(companion) > 3)
        assert second == f"  not in the file, as they begin: {', '.join(companion[:3])}{more}"


def test_a_file_a_run_and_its_checkpoint_are_found(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trainer("vxm_mse", max_epochs=1).run()
    run = tmp_path / "run"
    (run / "bundle.json").write_text(json.dumps({"folder": str(MSE), "network_def": {}}))
    wanted = torch.load(run / "model.pt", weights_only=True)
    for init in (run, run / "model.pt"):
        assert_holds(begun(RegistrationNetwork(VoxelMorph()), init), wanted)
    trained = torch.load(run / "checkpoint.pt", weights_only=True)["network"]
    assert_holds(begun(RegistrationNetwork(VoxelMorph(), cascades=2), run / "checkpoint.pt"), trained)
    monkeypatch.chdir(tmp_path)
    shutil.copy(run / "model.pt", "acdc")  # a name of the bundle's own comes first
    assert find_weights("acdc", MSE) == weights_of(MSE)["acdc"].file and find_weights("./acdc", MSE) == Path("acdc")


def test_weights_in_half_precision_become_float32_and_other_shapes_are_said(tmp_path: Path, said: Lines) -> None:
    wide, narrow = RegistrationNetwork(VoxelMorph()).state_dict(), RegistrationNetwork(VoxelMorph(final=(8, 16, 16)))
    torch.save({key: value.half() for key, value in wide.items()} | {"more": torch.zeros(1)}, tmp_path / "half.pt")
    state = begun(narrow, tmp_path / "half.pt")
    fitting = {key: value.half() for key, value in wide.items() if state[key].shape == value.shape}
    assert 0 < len(fitting) < len(wide)
    assert_holds(state, fitting)
    _, left, shapes = said()
    assert left == "  in the file alone, left out: more"
    assert (
        shapes.startswith("  of another shape, as they begin: estimator.backbone.final.0.weight [")
        and "instead" in shapes
    )


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("cammus", r"init is 'cammus': neither weights of the bundle \(acdc, .*camus\), nor .*; did you mean camus\?"),
        ("vxm_mse:camsu", "vxm_mse: no weights 'camsu'; it has acdc, .*camus"),
        ("vxm_msee:camus", "vxm_msee: no bundle, run or package; did you mean vxm_mse?"),
        ("FOLDER/none.pt", r"init is '.*none.pt': neither weights of the bundle"),
        ("FOLDER", "neither a bundle .* nor a run of one's training"),
        ("FOLDER/foreign.pt", "foreign.pt: holds a list, not a state dict"),
        ("FOLDER/text.pt", "text.pt: cannot be read; is the file whole?"),
        ("FOLDER/nan.pt", "nan.pt: .*holds NaN or infinite values; give other weights by init"),
        ("FOLDER/other.pt", "other.pt: nothing of it fits this network; not in the file, .*; give other weights by"),
    ],
)
def test_what_cannot_be_begun_with_is_one_line_and_leaves_nothing(
    make_trainer: MakeTrainer, tmp_path: Path, init: str, message: str
) -> None:
    torch.save([1], tmp_path / "foreign.pt")
    (tmp_path / "text.pt").write_text("hello")
    key = "estimator.flow.bias"
    torch.save({key: torch.full((2,), torch.nan)}, tmp_path / "nan.pt")
    torch.save({"a": torch.zeros(2), key: torch.zeros(3)}, tmp_path / "other.pt")
    trainer = make_trainer("vxm_mse", max_epochs=1, init=init.replace("FOLDER", str(tmp_path)))
    with pytest.raises(InputError, match=message) as caught:
        trainer.run()
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "run").glob("[!.]*"))


def test_a_training_begins_with_its_weights_once(make_trainer: MakeTrainer, tmp_path: Path, said: Lines) -> None:
    file, settings = tmp_path / "begin.pt", {"max_epochs": 2, "averaging": 0}
    shutil.copy(weights_of(MSE)["acdc"].file, file)
    trainer = make_trainer("vxm_mse", **settings, init=str(file))
    trainer.add_event_handler(Events.EPOCH_STARTED(once=1), lambda: begins.update(of(trainer)))
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), trainer.terminate)
    begins: dict[str, torch.Tensor] = {}

    def of(trainer: SingleTrainer) -> dict[str, torch.Tensor]:
        return {f"estimator.{key}": value.clone() for key, value in trainer.network.state_dict().items()}

    trainer.run()
    assert_holds(begins, state_of("vxm_mse"))
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["settings"]["init"] == str(file)
    file.unlink()  # a run that goes on does not ask for them
    said()
    make_trainer("vxm_mse", **settings, init=str(file)).run()
    assert not any(line.startswith("init") for line in said())
    with pytest.raises(InputError, match="trained with init .*begin.pt, not acdc; give another --output_dir"):
        make_trainer("vxm_mse", **settings, init="acdc").run()


def test_two_processes_begin_with_the_same_weights(run_bundle: RunBundle, tiny_dataset: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": tiny_dataset, "output_dir": tmp_path / "run", "max_epochs": 1, "learning_rate": 0.0}
    ended = run_bundle(
        "vxm_mse", "training", tmp_path, files=["multi_gpu_train.yaml"], processes=2, init="camus", freeze="encoder",
        averaging=0, **settings,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("init camus: ") == 1 and ended.stdout.count("epoch 1/1: ") == 1
    assert_holds(torch.load(tmp_path / "run" / "model.pt", weights_only=True), state_of("vxm_mse", "camus"))


def bundle_of(folder: Path, **about: object) -> Path:
    (folder / "configs").mkdir()
    weights = {"mine": {"file": "models/model.pt", **about}}
    (folder / "configs" / "metadata.json").write_text(json.dumps({"weights": weights}))
    return folder


SETTINGS = {"max_epochs": 12, "batch_size": 4, "pairs_per_epoch": 10, "warm_up": [1, 2], "accumulation_steps": 2}


@pytest.mark.parametrize(
    ("about", "taken"),
    [
        ({"settings": SETTINGS}, 20),  # 10 epochs of 3 batches, two a step
        ({"settings": SETTINGS, "stopped_after_epoch": 6}, 8),
        ({"settings": SETTINGS, "steps": 400}, 400),
        ({"settings": SETTINGS | {"pairs_per_epoch": None}}, None),
        ({"settings": {}}, None),
        ({"steps": "x"}, None),
        ({}, None),
    ],
)
def test_far_fewer_steps_than_those_of_the_weights_are_said(
    tmp_path: Path, about: dict[str, object], taken: int | None
) -> None:
    folder = bundle_of(tmp_path, **about)
    assert not few_steps(10**6, folder)
    if taken is None:
        assert not few_steps(1, folder)
        return
    assert not few_steps(-(-taken // 4), folder)
    (line,) = few_steps(taken // 4 - 1, folder)
    assert line.startswith(f"warning: {taken // 4 - 1} steps in all, where the weights mine have taken {taken}; ")


def test_a_training_warns_of_few_steps_only_if_it_begins_without_weights(
    make_trainer: MakeTrainer, tmp_path: Path, said: Lines
) -> None:
    root = bundle_of(tmp_path, steps=100)
    torch.save(RegistrationNetwork(VoxelMorph()).state_dict(), tmp_path / "some.pt")
    for settings, warned in (({"max_epochs": 1}, True), ({"max_epochs": 1, "init": str(tmp_path / "some.pt")}, False)):
        make_trainer("vxm_mse", bundle_root=str(root), resume=False, **settings).run()
        assert any(line.startswith("warning: 2 steps in all") for line in said()) is warned


@pytest.mark.parametrize("name", ["vxm_mse", "vxm_adacs"])
def test_the_steps_of_a_training_are_those_that_it_takes(name: str, make_trainer: MakeTrainer, tmp_path: Path) -> None:
    more = {"warm_up": [1, 1]} if name == "vxm_adacs" else {}
    trainer = make_trainer(name, max_epochs=3, batch_size=5, accumulation_steps=2, **more)
    trainer.run()
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["optimizer"]["state"]
    assert {int(each["step"]) for each in state.values()} == {trainer.steps()}
