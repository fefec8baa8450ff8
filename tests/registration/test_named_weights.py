"""Weights that are chosen by name: their file is loaded, and their card says how images are brought to the network."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import CentreOfMass, blob, grid_around, named_bundle, toy_bundle, written

from common.collection.find import RECORD
from common.errors import InputError
from common.files import file_hash, write_json
from common.grids import min_max, resize
from common.io.weights import save_weights
from common.registration.api import case_of_files, register
from common.registration.bundle import open_bundle
from common.registration.card import Card
from common.registration.tasks import Task, tasks
from tools import register as program

SHAPE, AFFINE = (60, 90), grid_around((60, 90, 1), (0.4, 0.2, 1.0))


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Path]:
    """Two images of oblong pixels."""
    rng, affine = np.random.default_rng(0), AFFINE
    images = {name: rng.random((*SHAPE, 1)).astype(np.float32) for name in ("moving", "fixed")}
    for name, image in images.items():
        nib.save(nib.Nifti1Image(image, affine), tmp_path / f"{name}.nii.gz")
    return {name: tmp_path / f"{name}.nii.gz" for name in images}


def seen_by(folder: Path, pair: dict[str, Path], **overrides: object) -> Task:
    """What goes through the network."""
    opened = open_bundle(folder, "cpu", **overrides)
    return next(tasks(opened.network, opened.framing, [case_of_files(pair["moving"], pair["fixed"])]))


def test_a_name_chooses_file_and_card(tmp_path: Path) -> None:
    folder = named_bundle(tmp_path / "toy")
    for name, file, value in ((None, "model.pt", 0.5), ("mr", "model.pt", 0.5), ("us", "model_us.pt", 0.25)):
        opened = open_bundle(folder, weights=name)
        assert opened.weights == folder / "models" / file and opened.network.value.item() == value
    assert opened.framing.trained == Card(None, (24, 16), "US", resized=True)
    assert open_bundle(folder).framing.trained == Card((1.5, 1.5), (32, 32), "MR")


def test_the_whole_image_is_resized_as_it_was_prepared(tmp_path: Path, pair: dict[str, Path]) -> None:
    folder = named_bundle(tmp_path / "toy")
    shown = seen_by(folder, pair, weights="us").image
    for channel, name in enumerate(pair):
        image = nib.load(pair[name]).get_fdata(dtype=np.float32)[..., 0]
        np.testing.assert_array_equal(shown[0, channel].numpy(), min_max(resize(image, (24, 16))))
    default = seen_by(folder, pair)
    assert default.image.shape[2:] == (32, 32) and default.spacing == (1.5, 1.5)


@pytest.mark.parametrize(
    ("asked", "shape", "spacing"),
    [
        ({}, (24, 16), (1.0, 1.125)),
        ({"crop_size": "all"}, (24, 16), (1.0, 1.125)),
        ({"crop_size": [48, 48]}, (24, 16), (0.8, 0.6)),
        ({"network_size": [30, 30]}, (30, 30), (0.8, 0.6)),
        ({"spacing": 1.0}, (24, 16), (1.0, 1.0)),  # a window of the training's size
    ],
    ids=str,
)
def test_an_option_goes_before_the_card(
    tmp_path: Path, pair: dict[str, Path], asked: dict, shape: tuple, spacing: tuple
) -> None:
    task = seen_by(named_bundle(tmp_path / "toy"), pair, weights="us", **asked)
    assert tuple(task.image.shape[2:]) == shape
    np.testing.assert_allclose(task.spacing, spacing, rtol=1e-6)


def test_the_numbers_say_which_weights_of_which_data(tmp_path: Path, pair: dict[str, Path]) -> None:
    folder = named_bundle(tmp_path / "toy")
    found = register(*pair.values(), folder, weights="us")
    assert found.seen.all() and found.network_shape == (24, 16)
    said = found.numbers["bundle"]
    assert (said["weights"], said["weights_data"]) == ("us", "B, 300 patients")
    assert said["weights_sha256"] == file_hash(folder / "models" / "model_us.pt")
    assert not [line for line in found.warnings if "training" in line]
    far = register(*pair.values(), folder).warnings
    assert [line for line in far if "far from the training's" in line]


def test_the_program_takes_the_name(tmp_path: Path, pair: dict[str, Path]) -> None:
    given = [
        *map(str, pair.values()),
        "--bundle",
        str(named_bundle(tmp_path / "toy")),
        "--output",
        str(tmp_path / "out"),
    ]
    program.main([*given, "--weights", "us"])
    report = json.loads((tmp_path / "out" / "moving.json").read_text())
    assert report["bundle"]["weights"] == "us" and report["network"]["shape"] == [24, 16]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"weights": "ct"}, r"^toy: no weights 'ct'; it has mr, us\.$"),
        ({"weights": "U S"}, r"^weights is 'U S': expected null, or the name of weights of the bundle\.$"),
        ({"weights": 3}, r"^weights is 3: expected"),
        ({"weights": "us", "checkpoint": "x.pt"}, r"^--weights us: --checkpoint says others; give one of the two\.$"),
    ],
    ids=str,
)
def test_a_name_that_cannot_be_followed_is_one_line(tmp_path: Path, overrides: dict, message: str) -> None:
    folder = named_bundle(tmp_path / "toy")
    with pytest.raises(InputError, match=message) as caught:
        open_bundle(folder, **overrides)
    assert "\n" not in str(caught.value)


def test_a_file_may_still_be_given_and_is_known_if_it_is_one_of_the_bundle(tmp_path: Path) -> None:
    folder = named_bundle(tmp_path / "toy")
    opened = open_bundle(folder, weights=None, checkpoint=str(folder / "models" / "model_us.pt"))
    assert opened.framing.trained.resized
    save_weights(CentreOfMass(2), tmp_path / "other.pt")
    assert open_bundle(folder, checkpoint=str(tmp_path / "other.pt")).framing.trained == Card()


def test_named_weights_that_are_missing_or_others_are_refused(tmp_path: Path) -> None:
    folder = named_bundle(tmp_path / "toy")
    file = folder / "models" / "model_us.pt"
    save_weights(CentreOfMass(2, value=0.1), file)
    with pytest.raises(InputError, match=r"model_us\.pt: not the weights that .*metadata\.json names"):
        open_bundle(folder, weights="us")
    file.unlink()
    with pytest.raises(InputError, match=r"model_us\.pt: no such file"):
        open_bundle(folder, weights="us")
    assert open_bundle(folder).network.value.item() == 0.5


def test_a_run_has_its_own_weights_and_an_old_bundle_no_names(tmp_path: Path) -> None:
    folder, run = named_bundle(tmp_path / "toy"), tmp_path / "run"
    network = {"_target_": "toy_registration.CentreOfMass", "spatial_dims": 2}
    write_json(run / RECORD, {"folder": str(folder), "network_def": network})
    save_weights(CentreOfMass(2), run / "model.pt")
    assert open_bundle(run).weights == run / "model.pt"
    with pytest.raises(InputError, match=r"run/model\.pt: weights of a run, but --weights us is one of its bundle's"):
        open_bundle(run, weights="us")
    with pytest.raises(InputError, match="--weights: no such setting in .*inference.yaml"):
        open_bundle(toy_bundle(tmp_path / "old"), weights="us")


def test_a_stack_is_resized_slice_by_slice(tmp_path: Path) -> None:
    shape = (40, 36, 3)
    affine = grid_around(shape, (1.0, 1.0, 8.0))
    images = [written(blob(shape, affine, np.array([x, 0, 0])), tmp_path / f"{x}.nii.gz") for x in (3.0, 0.0)]
    found = register(*images, named_bundle(tmp_path / "toy"), weights="us")
    assert found.seen.all() and found.network_shape == (24, 16)
    middle = found.field.vectors[found.seen][..., :2].reshape(-1, 2).mean(0)
    np.testing.assert_allclose(middle, [3.0, 0.0], atol=0.2)
