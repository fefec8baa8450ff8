from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.files import file_hash
from common.io import load_weights, save_weights


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))


def test_weights_come_back(tmp_path: Path) -> None:
    first, second = network(), network()
    save_weights(first, tmp_path / "new" / "model.pt")
    assert load_weights(second, tmp_path / "new" / "model.pt") is second
    x = torch.ones(1, 2)
    assert torch.equal(first(x), second(x))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["model.pt"]


def test_a_training_checkpoint_serves_too(tmp_path: Path) -> None:
    first, second = network(), network()
    torch.save({"network": first.state_dict(), "epoch": 3, "optimizer": {}}, tmp_path / "checkpoint.pt")
    load_weights(second, tmp_path / "checkpoint.pt")
    assert torch.equal(first[0].weight, second[0].weight)


def test_bad_weights_are_named_in_one_line(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        net = network()
        before = net[0].weight.clone()
        with pytest.raises(InputError) as caught:
            load_weights(net, path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
        assert torch.equal(net[0].weight, before)
        return str(caught.value)

    path = tmp_path / "model.pt"
    assert "no such file" in message(path)
    save_weights(network(), path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:cut])
        message(path)
    path.write_text("some text that is no checkpoint")
    message(path)
    path.write_bytes(pickle.dumps(Path("x")))
    message(path)
    torch.save(network(), path)
    assert "holds more than weights" in message(path)
    torch.save([torch.zeros(1)], path)
    assert "holds a list" in message(path)
    torch.save({"epoch": 3}, path)
    assert "not a state dict" in message(path)
    torch.save(nn.Linear(2, 3).state_dict(), path)
    text = message(path)
    assert "missing: 0.weight, 0.bias, 1.weight and 1 more" in text
    assert "unexpected: weight, bias" in text
    save_weights(network(4), path)
    assert "0.weight is [4, 2] instead of [3, 2]" in message(path)


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="model.pt: cannot be written"):
        save_weights(network(), tmp_path / "file" / "model.pt")


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_hash(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(InputError, match="absent: cannot be read"):
        file_hash(tmp_path / "absent")


def shipped(folder: Path) -> Path:
    """A bundle's weights, and its metadata that name them."""
    path = folder / "models" / "model.pt"
    save_weights(network(), path)
    (folder / "configs").mkdir()
    about = {"weights": {"file": "models/model.pt", "sha256": file_hash(path)}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(about))
    return path


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_a_flipped_bit_of_a_record_is_refused(tmp_path: Path, place: float) -> None:
    path = tmp_path / "model.pt"
    save_weights(network(500), path)
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[content.index(record.filename.encode()) + 100 + int(place * record.file_size)] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.pt: damaged: archive/data/\d has another checksum"):
        load_weights(network(500), path)


def test_weights_that_a_bundle_ships_are_those_that_its_metadata_names(tmp_path: Path) -> None:
    path = shipped(tmp_path)
    load_weights(network(), path)
    save_weights(network(), path)
    with pytest.raises(InputError, match=r"model\.pt: not the weights that .*metadata\.json names") as caught:
        load_weights(network(), path)
    assert "\n" not in str(caught.value)
    for text in ("{", "[]", '{"weights": 5}', "{}"):
        (tmp_path / "configs" / "metadata.json").write_text(text)
        load_weights(network(), path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.to_sparse(), "0.weight is no plain tensor"),
        (lambda w: w.to(torch.complex64), "0.weight is complex"),
        (lambda w: w * float("nan"), "0.weight holds NaN or infinite values"),
        (lambda w: w.to("meta"), "0.weight is no plain tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_weights_of_another_kind_are_refused(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    state = network().state_dict()
    torch.save({**state, "0.weight": change(state["0.weight"])}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=said):
        load_weights(network(), tmp_path / "model.pt")
