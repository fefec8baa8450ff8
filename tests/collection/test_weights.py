"""Weights of a bundle by name, as its metadata describe them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.collection.weights import file_name, told, weights_file, weights_in, weights_of
from common.errors import InputError
from common.files import file_hash

ABOUT = {
    "acdc": {"file": "models/model.pt", "sha256": "a", "data": "ACDC"},
    "camus": {"file": "models/model_camus.pt", "sha256": "b", "data": "CAMUS"},
}


def bundle(folder: Path, weights: object = ABOUT) -> Path:
    """A bundle of nothing but metadata."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps({"weights": weights}))
    return folder


def test_names_lead_to_files_and_files_to_names(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "toy")
    assert list(weights_of(folder)) == ["acdc", "camus"]
    for name, file in ((None, "model.pt"), ("acdc", "model.pt"), ("camus", "model_camus.pt")):
        assert weights_file(folder, name) == folder / "models" / file
    assert file_name("camus") == "model_camus.pt" and file_name() == "model.pt"
    assert weights_in(folder / "models" / "model_camus.pt").name == "camus"
    for other in (folder / "models" / "other.pt", folder / "model.pt", tmp_path / "models" / "model.pt", None, ["x"]):
        assert weights_in(other) is None


def test_a_link_is_what_it_is_called(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "toy")
    (folder / "models").mkdir()
    (tmp_path / "blob").write_bytes(b"x")
    (folder / "models" / "model_camus.pt").symlink_to(tmp_path / "blob")
    assert weights_in(str(folder / "models" / "model_camus.pt")).name == "camus"


def test_an_unknown_name_is_one_line_with_those_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^toy: no weights 'camux'; it has acdc, camus\.$"):
        weights_file(bundle(tmp_path / "toy"), "camux")
    monkeypatch.chdir(tmp_path / "toy")
    with pytest.raises(InputError, match=r"^toy: no weights 'camux'"):
        weights_file(".", "camux")
    (tmp_path / "toy" / "configs" / "metadata.json").unlink()
    with pytest.raises(InputError, match=r"^toy: no weights 'acdc'; it has none that have a name\.$"):
        weights_file(tmp_path / "toy", "acdc")
    assert weights_file(tmp_path / "toy") == tmp_path / "toy" / "models" / "model.pt"


def test_metadata_of_one_file_as_up_to_version_0_3_are_read(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "toy", ABOUT["acdc"])
    assert list(weights_of(folder)) == ["default"] and weights_file(folder, "default").name == "model.pt"


@pytest.mark.parametrize(
    "weights", [3, [], "x", {"a": 1}, {"a": {"file": 1}}, {"a": {"file": "../model.pt"}}, {"a": {}}]
)
def test_metadata_that_make_no_sense_describe_no_weights(tmp_path: Path, weights: object) -> None:
    assert weights_of(bundle(tmp_path / "toy", weights)) == {}


def test_results_tell_name_data_and_hash(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "toy")
    (folder / "models").mkdir()
    for file in ("model_camus.pt", "other.pt"):
        (folder / "models" / file).write_bytes(file.encode())
    named, other = folder / "models" / "model_camus.pt", folder / "models" / "other.pt"
    assert told(named) == {"weights": "camus", "weights_data": "CAMUS", "weights_sha256": file_hash(named)}
    assert told(other) == {"weights": None, "weights_data": None, "weights_sha256": file_hash(other)}
