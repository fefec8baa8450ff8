"""A model repository has a card that is read, and the same weights twice."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import torch
import yaml

from common.collection.receive import SUMS
from common.errors import InputError
from tools.package.contents import Package, make
from tools.package.huggingface import front_matter, repository, write_folder
from tools.recipes.shipped import all_results
from tools.render import results

LICENCES = {"vxm_hetero": "cc-by-nc-sa-4.0", "vxm_predictive": "cc-by-sa-4.0"}


@pytest.mark.parametrize("name", LICENCES)
def test_the_card_says_what_was_measured(name: str, packages: dict[str, Package]) -> None:
    files = repository(packages[name])
    _, front, body = files["README.md"].decode().split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["library_name"] == "monai" and fields["license"] == LICENCES[name]
    assert {"monai", "image-registration", name.split("_")[1]} <= set(fields["tags"])
    assert fields["datasets"] == list(dict.fromkeys(row["dataset"] for row in all_results(name).values()))
    index = fields["model-index"][0]
    figures = {each["name"]: each["value"] for each in index["results"][0]["metrics"]}
    assert figures["Dice coefficient, % (published protocol)"] == round(results(name)["shipped"]["published"]["dsc"], 4)
    assert "dice" in {each["type"] for each in index["results"][0]["metrics"]} and "dice" in fields["metrics"]
    assert body.strip().startswith(f"# {packages[name].name}\n")


@pytest.mark.parametrize("name", LICENCES)
def test_safetensors_hold_the_same_weights(name: str, packages: dict[str, Package]) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    files = repository(packages[name])
    state = torch.load(io.BytesIO(files["models/model.pt"]), weights_only=True)
    safe = safetensors.load(files["models/model.safetensors"])
    assert safe.keys() == state.keys()
    assert all(torch.equal(safe[key], state[key]) and safe[key].dtype == state[key].dtype for key in state)
    sums = dict(line.split("  ")[::-1] for line in files[SUMS].decode().splitlines())
    assert sums["models/model.safetensors"] == hashlib.sha256(files["models/model.safetensors"]).hexdigest()


def test_a_bundle_without_weights_claims_none() -> None:
    package = make("dfm_mi")
    fields = front_matter(package)
    assert fields["license"] == "apache-2.0" and not {"model-index", "datasets", "metrics"} & set(fields)
    assert "models/model.safetensors" not in repository(package)
    assert "load(" not in package.files["docs/README.md"].decode()


def test_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    write_folder({"a/b": b"c"}, tmp_path / "x")
    assert (tmp_path / "x" / "a" / "b").read_bytes() == b"c"
    with pytest.raises(InputError, match="x: exists already"):
        write_folder({"a/b": b"d"}, tmp_path / "x")
    assert (tmp_path / "x" / "a" / "b").read_bytes() == b"c" and len(list(tmp_path.iterdir())) == 1
