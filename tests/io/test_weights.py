from __future__ import annotations

import hashlib
import pickle
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
