"""Where a network looks by itself: at the label, else at what moves, on voxels as large as those of its training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_registration import blob, grid_around, toy_bundle

from common.grids import crop_affine
from common.io.images import MedicalImage
from common.registration.bundle import OpenBundle, open_bundle
from common.registration.card import Card, card_of
from common.registration.case import Case
from common.registration.region import Framing
from common.registration.register import register_case

SHAPE, AFFINE = (120, 100, 3), grid_around((120, 100, 3), (1.0, 1.0, 8.0))


def opened(tmp_path: Path, trained: Card | None = None, **framing: object) -> OpenBundle:
    bundle = open_bundle(toy_bundle(tmp_path / "toy", 2, crop_size=32, center="auto"))
    return replace(bundle, framing=replace(bundle.framing, trained=trained or Card(), **framing))


def pair(place: tuple[float, float] = (0.0, 0.0)) -> tuple[MedicalImage, MedicalImage]:
    rng = np.random.default_rng(0)
    moving, fixed = (blob(SHAPE, AFFINE, np.array([*place, 0]) + [x, 0, 0], "a").array for x in (3.0, 0.0))
    moving, fixed = (each + rng.random(SHAPE).astype(np.float32) for each in (moving, fixed))
    return MedicalImage(moving, AFFINE, Path("moving.nii.gz")), MedicalImage(fixed, AFFINE, Path("fixed.nii.gz"))


def label_at(part: tuple[slice, ...], affine: np.ndarray = AFFINE, name: str = "label") -> MedicalImage:
    array = np.zeros(SHAPE, np.uint8)
    array[part] = 1
    return MedicalImage(array, affine, Path(f"{name}.nii.gz"))


LABELS = {
    "small": np.s_[10:20, 70:85, 1],
    "at the border": np.s_[0:9, 91:100, :],
    "larger": np.s_[10:70, 20:90, :],
    "narrow": np.s_[5:115, 50:52, 0],
}


@pytest.mark.parametrize("size", [None, (32, 32)], ids=["one window", "windows"])
@pytest.mark.parametrize("part", LABELS.values(), ids=LABELS)
def test_a_label_is_seen_whole_with_a_margin(tmp_path: Path, part: tuple, size: tuple[int, int] | None) -> None:
    label = label_at(part)
    found = register_case(opened(tmp_path, Card(size=size)), Case(*pair(), label))
    assert found.seen[label.array > 0].all()
    around = np.s_[max(part[0].start - 6, 0) : part[0].stop + 6, max(part[1].start - 6, 0) : part[1].stop + 6]
    assert found.seen[around].all()
    assert not [line for line in found.warnings if "not seen" in line]


def test_a_label_of_another_grid_and_that_of_the_fixed_image_are_seen(tmp_path: Path) -> None:
    moving, fixed = pair()
    label = label_at(np.s_[80:100, 10:20, 1])
    cut = MedicalImage(label.array[70:], crop_affine(AFFINE, (70, 0, 0)), Path("cut.nii.gz"))
    other = label_at(np.s_[30:40, 60:80, 1], name="fixed_label")
    found = register_case(opened(tmp_path), Case(moving, fixed, cut, fixed_label=other))
    assert found.seen[(label.array > 0) | (other.array > 0)].all()


def test_without_a_label_it_is_what_moves_in_two_frames_of_one_grid_else_the_middle(tmp_path: Path) -> None:
    moving, fixed = pair((30.0, -20.0))  # LPS: towards the start of the first axis
    bundle = opened(tmp_path)
    seen = np.argwhere(register_case(bundle, Case(moving, fixed)).seen).mean(0)
    np.testing.assert_allclose(seen[:2], [28, 69.5], atol=4)
    apart = MedicalImage(moving.array[2:], crop_affine(AFFINE, (2, 0, 0)), moving.path)
    seen = np.argwhere(register_case(bundle, Case(apart, fixed)).seen).mean(0)
    np.testing.assert_allclose(seen[:2], [59.5, 49.5], atol=1)
    empty = label_at(np.s_[:0])
    seen = np.argwhere(register_case(bundle, Case(moving, fixed, empty)).seen).mean(0)
    np.testing.assert_allclose(seen[:2], [28, 69.5], atol=4)


def test_an_asked_centre_goes_before_a_label_which_is_said_to_be_cut(tmp_path: Path) -> None:
    label = label_at(np.s_[10:20, 70:90, 1])
    found = register_case(opened(tmp_path, center=[14, 70]), Case(*pair(), label))
    assert found.seen[14, 70, 1] and found.warnings
    unseen = 100 * (1 - found.seen[label.array > 0].mean())
    assert f"{unseen:.1f} % of the label label.nii.gz was not seen" in found.warnings[0] and unseen > 5


@pytest.mark.parametrize("spacing", [None, 2.5])
def test_a_centre_is_a_voxel_of_the_image_whatever_the_network_s_are(tmp_path: Path, spacing: float | None) -> None:
    found = register_case(opened(tmp_path, center=[40, 60], crop_size=20, spacing=spacing), Case(*pair()))
    np.testing.assert_allclose(np.argwhere(found.seen).mean(0)[:2], [40, 60], atol=1.5)


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [(1.5, None, 1.5), (1.2, None, 1.0), (0.85, None, 1.0), (0.75, None, 0.75), (1.5, 1.1, 1.1), (None, None, 1.0)],
)
def test_voxels_far_from_the_training_s_are_resampled(
    tmp_path: Path, trained: float | None, asked: float | None, expected: float
) -> None:
    card = Card(spacing=trained and (trained, trained))
    found = register_case(opened(tmp_path, card, spacing=asked), Case(*pair()))
    np.testing.assert_allclose(found.network_spacing, expected, rtol=1e-6)
    np.testing.assert_allclose(np.median(found.field.vectors[found.seen], 0)[1:], 0, atol=0.2)
    far = [line for line in found.warnings if "far from" in line]
    assert len(far) == (trained in (1.5, 0.75))


def test_a_card_is_that_of_the_bundle_s_own_weights(tmp_path: Path) -> None:
    said = {"file": "models/model.pt", "spacing_mm": [1.5, 1.4], "size": [128, 96], "modality": "MR"}
    (tmp_path / "configs").mkdir()
    resized = {"file": "models/model_us.pt", "spacing_mm": None, "size": [128, 128], "modality": "US", "resized": True}
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"weights": {"mr": said, "us": resized}}))
    own = tmp_path / "models" / "model.pt"
    assert card_of(own) == Card((1.5, 1.4), (128, 96), "MR")
    assert card_of(str(own)) == card_of(own)
    assert card_of(own.with_name("model_us.pt")) == Card(None, (128, 128), "US", resized=True)
    for other in (tmp_path / "model.pt", own.with_name("other.pt"), None, [own]):
        assert card_of(other) == Card()
    for wrong in ("", "[]", '{"weights": 3}', '{"weights": {"file": "models/model.pt", "size": "big"}}'):
        (tmp_path / "configs" / "metadata.json").write_text(wrong)
        assert card_of(own) == Card()


def test_shipped_weights_have_a_card() -> None:
    framing = open_bundle("vxm_hetero_disp", "cpu").framing
    assert framing.trained == Card((1.5, 1.5), (128, 128), "MR") and framing.center == "auto"
    assert framing.windows(((0, 0), (200, 128))).size == (128, 128)
    assert len(Framing().windows(((0, 0), (200, 128)))) == 1
