"""Configs are read as MONAI reads them: contents, overrides, and what is left to MONAI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser
from torch import nn

from common.collection.find import BUNDLES
from common.config import Config, at, load, put
from tools.package.configs import packaged

CONFIGS = sorted(BUNDLES.glob("*/configs/*inference.yaml"))
FRAMING = ["crop_size", "center", "network_size", "percentiles", "spacing", "axes"]
KEYS = [*FRAMING, "checkpoint", "spatial_dims", "inferer::batch_size"]


def both(raw: dict[str, Any]) -> tuple[Config, ConfigParser]:
    """The two readers of one config; ours must not come to ask MONAI."""
    ours, copy = Config(raw), json.loads(json.dumps(raw))
    ours.__dict__["_monai"] = None
    return ours, ConfigParser(copy)


def described(network: nn.Module) -> list[Any]:
    """Modules and tensors by name, and what was set beside them."""
    kinds = [(name, type(part), part.extra_repr()) for name, part in network.named_modules()]
    tensors = [(name, tuple(value.shape), value.dtype) for name, value in network.state_dict().items()]
    plain = [(k, v) for m in network.modules() for k, v in vars(m).items() if isinstance(v, int | float | str | tuple)]
    return [kinds, tensors, plain]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parts[-3]}/{file.stem}")
def test_every_bundle_reads_as_by_monai(file: Path) -> None:
    raw = load([file]) | {"bundle_root": str(file.parents[1])}
    assert raw == ConfigParser.load_config_files([str(file)]) | {"bundle_root": raw["bundle_root"]}
    if "ensemble" in file.stem:
        raw["network_def"] = raw.pop("base_network")  # its members are weights, which not every bundle has
    ours, theirs = both(raw)
    for key in [key for key in KEYS if key in ours]:
        assert ours.content(key) == theirs.get_parsed_content(key)
    found, expected = ours.content("network_def"), theirs.get_parsed_content("network_def")
    assert described(found) == described(expected)
    assert ours.content("network_def") is found
    assert ours.content("network_def#estimator") is found.estimator


def test_overrides_reach_what_refers_to_them() -> None:
    raw = load([BUNDLES / "vxm_weak" / "configs" / "inference.yaml"])
    more = {"num_classes": 5, "spatial_dims": 2, "network_def#estimator#integration_steps": 3, "bundle_root": "/b"}
    for key, value in more.items():
        put(raw, key, value)
    ours, theirs = both(raw)
    found, expected = ours.content("network_def"), theirs.get_parsed_content("network_def")
    assert described(found) == described(expected)
    assert (found.num_classes, found.spatial_dims, found.estimator.integration_steps) == (5, 2, 3)
    assert ours.content("checkpoint") == "/b/models/model.pt"


def test_a_package_reads_as_by_monai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "warpsure_toy").symlink_to(BUNDLES.parent / "common")
    text = (BUNDLES / "vxm_hetero" / "configs" / "inference.yaml").read_text(encoding="utf-8")
    (tmp_path / "inference.yaml").write_text(packaged(text, "vxm_hetero", "warpsure_toy"), encoding="utf-8")
    raw = load([tmp_path / "inference.yaml"]) | {"bundle_root": str(tmp_path)}
    ours, theirs = both(raw)
    found, expected = ours.content("network_def"), theirs.get_parsed_content("network_def")
    assert described(found) == described(expected) and type(found).__module__ == "warpsure_toy.networks.registration"
    assert ours.content("checkpoint") == theirs.get_parsed_content("checkpoint") == f"{tmp_path}/models/model.pt"
    for name in [name for name in sys.modules if name.startswith("warpsure_toy")]:
        del sys.modules[name]


MADE = {
    "imports": ["$import math", "$from pathlib import Path as P", "$import nowhere.at.all as missing"],
    "one": 1,
    "name": "a#b",
    "mail": "me@one",
    "sum": "$@one + math.floor(2.5) + len(@parts#names)",
    "parts": {"names": ["x", "$'y' * @one", "@one"], "path": "$P(@name) / 'c'"},
    "off": {"_target_": "builtins.dict", "_disabled_": True},
    "made": {"_target_": "builtins.dict", "_desc_": "a dict", "_requires_": "@one", "sum": "@sum", "no": "@off"},
    "list": ["@made", {"_target_": "builtins.dict", "_disabled_": "$@one == 1"}, "$[n for n in np.arange(@one)]"],
    "call": {"_target_": "$P", "_disabled_": "false"},
    "like": {"x": "$@one", "x1": "$@like#x + @one"},
}


@pytest.mark.parametrize("key", sorted(MADE.keys() - {"imports"}))
def test_references_expressions_and_components_give_what_monai_gives(key: str) -> None:
    ours, theirs = both(json.loads(json.dumps(MADE)))
    assert ours.content(key) == theirs.get_parsed_content(key)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"a": "%b", "b": 3}, 3),
        ({"a": {"c": "@##b"}, "b": 3}, {"c": 3}),
        ({"a": {"_target_": "builtins.dict", "_mode_": "callable"}}, dict),
        ({"a": "$import math"}, __import__("math")),
    ],
)
def test_what_is_not_understood_is_left_to_monai(config: dict[str, Any], expected: Any) -> None:
    assert Config(config).content("a") == expected


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"a": "@b"}, "@b"),
        ({"a": "$@b + 1"}, "@b"),
        ({"a": "@b", "b": "@a"}, "circular"),
        ({"a": {"_target_": "math.nothing"}}, "math.nothing"),
        ({"b": 1}, "'a' is not found"),
    ],
)
def test_what_is_wrong_is_said_by_monai(config: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, KeyError, ModuleNotFoundError), match=said):
        Config(config).content("a")


def test_an_error_of_a_component_is_its_own() -> None:
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        Config({"a": {"_target_": "math.floor", "x": 1}}).content("a")


def test_expressions_are_left_alone_where_monai_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_EVAL_EXPR", "0")
    calls = []
    config = Config({"a": "$calls.append(1)"})
    config.__dict__["_monai"] = ConfigParser({"a": 1})
    assert config.content("a") == 1 and not calls


def test_files_are_loaded_and_merged_as_by_monai(tmp_path: Path) -> None:
    configs = BUNDLES / "vxm_predictive" / "configs"
    files = [str(configs / "train.yaml"), str(configs / "snapshot_train.yaml")]
    assert load(files) == ConfigParser.load_config_files(files)
    (tmp_path / "a.json").write_text('{"a": {"b": [1, 2.5e-3, null]}}')
    assert load([tmp_path / "a.json"]) == {"a": {"b": [1, 0.0025, None]}}
    (tmp_path / "b.yaml").write_text("a#b: [2]\n")
    assert load([tmp_path / "a.json", tmp_path / "b.yaml"]) == {"a": {"b": [2]}}
    (tmp_path / "c.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="holds a list"):
        load([tmp_path / "c.yaml"])


def test_ids_lead_through_mappings_and_lists() -> None:
    config: dict[str, Any] = {"a": [{"b": 1}]}
    put(config, "a#0#c", 2)
    put(config, "a::0", {**at(config, "a::0"), "d": 3})
    assert config == {"a": [{"b": 1, "c": 2, "d": 3}]} and at(config, "a#0#c") == 2
    for id in ("b", "a#1", "a#b", "a#0#b#c"):
        with pytest.raises(KeyError):
            at(config, id)


def test_a_bundle_is_opened_without_monai() -> None:
    code = (
        "import sys; from common.registration.bundle import open_bundle; open_bundle('vxm_hetero_disp', 'cpu', "
        "center='detect'); print({'monai', 'ignite', 'scipy.ndimage', 'matplotlib', 'fire'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BUNDLES.parent)
    assert said.stdout.strip() == "set()"
