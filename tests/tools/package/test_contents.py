"""A package has what the Model Zoo asks of a bundle, and says only what holds for a package."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser, verify_metadata

from common.collection.receive import SUMS, verify_folder
from common.errors import InputError
from common.files import file_hash
from common.registration.bundle import open_bundle
from tools.package.__main__ import main
from tools.package.archive import zipped
from tools.package.configs import packaged, strings, targets
from tools.package.contents import Package, make
from tools.package.documents import packaged_metadata
from tools.package.huggingface import repository
from tools.package.library import SOURCE
from tools.package.names import zoo_name
from tools.package.writing import write
from tools.render import BUNDLES, bundle_names, results

SCHEMA = Path(__file__).resolve().parents[2] / "shared" / "meta_schema.json"
REQUIRED = ["LICENSE", "configs/metadata.json", "configs/train.json", "configs/evaluate.json", "configs/inference.json"]
REQUIRED += ["configs/multi_gpu_train.json", "configs/logging.conf", "docs/README.md", "docs/data_license.txt"]
KEYS = {"train": ("trainer",), "evaluate": ("evaluator",), "inference": ("evaluator", "inferer")}
FAST = ("vxm_hetero", "vxm_predictive")
ALL = [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in bundle_names()]


@pytest.fixture
def package(name: str, packages: dict[str, Package]) -> Package:
    """The package of the bundle ``name``."""
    return packages[name] if name in packages else make(name)


def verify(metadata: dict[str, Any], folder: Path) -> None:
    """What MONAI says of metadata, by the schema that is already there."""
    shutil.copy(SCHEMA, folder)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    known = {"hash_val": hashlib.sha256(SCHEMA.read_bytes()).hexdigest(), "hash_type": "sha256"}
    verify_metadata(str(folder / "metadata.json"), filepath=str(folder / SCHEMA.name), **known)


@pytest.mark.parametrize("name", ALL)
def test_files_keys_and_sizes_are_those_of_the_model_zoo(name: str, package: Package) -> None:
    assert set(REQUIRED) <= set(package.files)
    assert ("models/model.pt" in package.files) == bool(results(name)) == ("weights" in package.metadata)
    assert max(map(len, package.files.values())) < 25e6 and not package.large
    for config, keys in KEYS.items():
        content = json.loads(package.files[f"configs/{config}.json"])
        assert {"bundle_root", "initialize", "run", "device", "dataset_dir", "network_def"} <= set(content)
        assert all(key in content or key in content["train"] for key in keys)


@pytest.mark.parametrize("name", ALL)
def test_a_json_config_is_its_yaml(name: str, package: Package, tmp_path: Path) -> None:
    for path in (path for path in package.files if path.endswith(".yaml")):
        for file in (path, path.replace(".yaml", ".json")):
            (tmp_path / Path(file).name).write_bytes(package.files[file])
        files = [tmp_path / Path(path).with_suffix(end).name for end in (".yaml", ".json")]
        a, b = map(ConfigParser.load_config_file, files)
        assert a == b
        assert not [text for text in strings(a) if re.search(r"\bcommon\.|\btools\.|\$import|\$bundle", text)]


@pytest.mark.parametrize("name", ALL)
def test_metadata_is_by_the_schema_and_complete(name: str, package: Package, tmp_path: Path) -> None:
    metadata = package.metadata
    verify(metadata, tmp_path)
    assert metadata["name"] == package.name == zoo_name(name)
    assert next(iter(metadata["changelog"])) == metadata["version"] == package.version
    versions = [metadata[f"{each}_version"] for each in ("monai", "pytorch", "numpy")]
    versions += metadata["required_packages_version"].values()
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in versions)


def test_what_the_schema_is_for(packages: dict[str, Package], tmp_path: Path) -> None:
    metadata = packages["vxm_hetero"].metadata
    for wrong in ({"supported_apps": "none"}, {"version": 1}, {"network_data_format": {"inputs": {}}}):
        with pytest.raises(ValueError, match="Failed validating"):
            verify(metadata | wrong, tmp_path)


def test_every_package_that_is_named_exists() -> None:
    metadata = json.loads((BUNDLES / "vxm_mse" / "configs" / "metadata.json").read_text())
    for name in metadata["required_packages_version"]:
        assert importlib.metadata.version(name)


def test_metadata_that_lacks_an_imported_package_is_refused() -> None:
    text = (BUNDLES / "vxm_mse" / "configs" / "metadata.json").read_text()
    with pytest.raises(InputError, match="required_packages_version lacks nnunet, which the library imports"):
        packaged_metadata(text, "x", {"torch", "ignite", "nnunet"})


@pytest.mark.parametrize("name", ALL)
def test_no_text_speaks_of_the_repository_unsaid(name: str, package: Package) -> None:
    for path, content in package.files.items():
        if path.startswith("models/"):
            continue
        text = content.decode()
        if not path.endswith(".py"):
            assert f"bundles/{name}" not in text, path
        for found in re.finditer(r"(\btools\.|[`(]warpsure )[a-z]\w*[^\n]*\n?[^\n]*", text):
            assert "of the Warpsure repository" in found[0], f"{path}: {found[0]}"


@pytest.mark.parametrize("name", FAST)
def test_paths_that_a_document_names_are_in_the_package(name: str, package: Package) -> None:
    for text in (package.files["docs/README.md"].decode(), package.files["configs/train.yaml"].decode()):
        named = set(re.findall(r"(?<![\w/$])(?:configs|docs|models)/[\w.]+\.\w+", text))
        assert named - {"models/model.ts"} <= set(package.files)
    assert package.files["docs/README.md"].startswith(f"# {package.name}\n".encode())


@pytest.mark.parametrize("name", [*FAST, "dfm_mi"])
def test_the_page_says_what_to_install_and_how_to_register(name: str, packages: dict[str, Package]) -> None:
    package = packages[name] if name in packages else make(name)
    page = package.files["docs/README.md"].decode()
    pins = dict(re.findall(r"([\w-]+)==([\d.]+)", page))
    assert pins.keys() == {"torch", "monai", "numpy", *package.metadata["required_packages_version"]}
    assert pins["torch"] == package.metadata["pytorch_version"] and "sha256sum -c SHA256SUMS" in page
    library = next(path.split("/")[0] for path in package.files if path.startswith("warpsure_"))
    trained = name != "dfm_mi"
    assert (f"python -m {library}.registration" in page) == ("ckpt_export" in page) == trained
    assert ("The weights are of 3 classes" in page) == (name == "vxm_predictive")


def test_every_module_names_its_licence(packages: dict[str, Package]) -> None:
    modules = {path: text for path, text in packages["vxm_hetero"].files.items() if path.endswith(".py")}
    assert len(modules) > 50
    assert not [path for path, text in modules.items() if b"apache.org/licenses/LICENSE-2.0" not in text[:200]]


def test_the_list_of_hashes_is_whole(packages: dict[str, Package]) -> None:
    files = packages["vxm_hetero"].files
    lines = dict(line.split("  ")[::-1] for line in files[SUMS].decode().splitlines())
    assert set(lines) == set(files) - {SUMS}
    assert all(hashlib.sha256(files[path]).hexdigest() == digest for path, digest in lines.items())


def test_a_package_is_the_same_byte_for_byte(packages: dict[str, Package], zips: dict[str, Path]) -> None:
    again = make("vxm_hetero")
    assert zipped(again.name, again.files) == zips["vxm_hetero"].read_bytes()
    backwards = dict(reversed(packages["vxm_hetero"].files.items()))
    assert zipped(again.name, backwards) == zips["vxm_hetero"].read_bytes()


def test_texts_are_read_as_utf_8_whatever_the_locale(
    packages: dict[str, Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_text

    def ascii_by_default(path: Path, encoding: str | None = None) -> str:
        ours = any(path.is_relative_to(folder) for folder in (BUNDLES, SOURCE))
        return read(path, encoding or ("ascii" if ours else None))

    monkeypatch.setattr(Path, "read_text", ascii_by_default)
    with pytest.raises(UnicodeDecodeError):
        (BUNDLES / "vxm_hetero" / "docs" / "README.md").read_text()
    assert make("vxm_hetero").files == packages["vxm_hetero"].files


def test_large_weights_are_published_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "bundles" / "vxm_hetero"
    shutil.copytree(BUNDLES / "vxm_hetero", folder)
    content = bytes(26_000_000)
    (folder / "models" / "model.pt").write_bytes(content)
    with pytest.raises(InputError, match="model.pt: SHA-256 .* but its metadata says"):
        make("vxm_hetero", bundles=folder.parent)
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    metadata["weights"]["acdc"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="above 25 MB; say by --url"):
        make("vxm_hetero", bundles=folder.parent)
    package = make("vxm_hetero", "https://example.org/files/", folder.parent)
    (listed,) = yaml.safe_load(package.files["large_files.yml"])["large_files"]
    beside = write(package, tmp_path / "out")[0]
    assert listed["path"] == "models/model.pt" not in package.files
    assert listed["url"] == f"https://example.org/files/{beside.name}" and listed["hash_type"] == "sha256"
    assert hashlib.sha256(beside.read_bytes()).hexdigest() == listed["hash_val"]


def test_all_weights_are_packed_and_can_be_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(BUNDLES / "vxm_hetero", tmp_path / "bundles" / "vxm_hetero")
    other, metadata = folder / "models" / "model_echo.pt", json.loads((folder / "configs/metadata.json").read_text())
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    torch.save({key: value * 0.5 for key, value in state.items()}, other)
    with pytest.raises(InputError, match=r"model_echo\.pt: SHA-256 .* but its metadata says None"):
        make("vxm_hetero", bundles=folder.parent)
    about = {"file": "models/model_echo.pt", "sha256": file_hash(other), "size": [128, 128], "resized": True}
    metadata["weights"]["echo"] = about
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    package = make("vxm_hetero", bundles=folder.parent)
    assert package.files["models/model_echo.pt"] == other.read_bytes() and package.metadata["weights"]["echo"] == about
    verify(package.metadata, tmp_path)
    assert {"models/model.safetensors", "models/model_echo.safetensors"} <= set(repository(package))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = open_bundle(write(package, tmp_path / "out")[0], "cpu", weights="echo")
    assert opened.weights.name == "model_echo.pt" and opened.framing.trained.resized
    other.unlink()
    with pytest.raises(InputError, match=r"model_echo\.pt: no such file, but its metadata name it; fetch it"):
        make("vxm_hetero", bundles=folder.parent)


def test_a_component_in_a_line_waits_for_the_library_too() -> None:
    text = "a:\n  - {_target_: common.handlers.CsvLog, path: log.csv}\n"
    (made,) = yaml.safe_load(packaged(text, "vxm_mse", "warpsure_0"))["a"]
    assert made == {"_target_": "warpsure_0.handlers.CsvLog", "_requires_": "@bundle", "path": "log.csv"}
    assert targets(text) == {"common.handlers.CsvLog"}


def test_a_config_that_cannot_be_packaged_is_refused() -> None:
    for text in (
        "a: $common.spatial.warp(1)\n",
        "a: {b: 1, _target_: common.spatial.warp}\n",
        "a:\n  - $import json\n",
    ):
        with pytest.raises(InputError, match="which a package would not find"):
            packaged(text, "vxm_mse", "warpsure_0")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["vxm_mse", "vxm_mse", "--output", str(tmp_path), "--huggingface"])
    (path,) = tmp_path.glob("*.zip")
    assert path.name == "cardiac_cine_registration_vxm_mse_v0.3.0.zip" and not list(tmp_path.glob(".*"))
    verify_folder(tmp_path / "huggingface" / "cardiac_cine_registration_vxm_mse")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["vxm_mse"], ["verify"], ["verify", "a.zip", "--output", "OUT"]])
def test_packing_and_verifying_have_options_of_their_own(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vxm_ms", "--output", "OUT"], "vxm_ms: no such bundle; choose of dfm_adacs"),
        (["verify", "OUT/none.zip"], "none.zip: no such file or folder"),
        (["verify", "OUT"], "OUT: no such file or folder"),
    ],
)
def test_bad_commands_write_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        main([argument.replace("OUT", str(tmp_path / "OUT")) for argument in arguments])
    assert not list(tmp_path.iterdir())
