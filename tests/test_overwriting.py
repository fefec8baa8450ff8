"""No program writes over what it reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ring_cine import ring

from common.errors import InputError
from common.fields import Field
from common.files import refuse_overwriting, staged
from common.io import write_field
from common.nifti import save_image
from tools.__main__ import main

BUNDLE = ("--bundle", "vxm_hetero_disp")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A moving image and a fixed one that is called as the result would be."""
    paths = [tmp_path / "a.nii.gz", tmp_path / "a_warped.nii.gz"]
    for path, scale in zip(paths, (1.0, 0.8), strict=True):
        save_image(path, ring(48, scale)[0][..., None], np.diag([1.5, 1.5, 8, 1]))
    return paths


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, *words: object) -> str:
    """The line that a program ends in; it has left every file as it was, and no other."""
    before = contents(folder)
    with pytest.raises(InputError, match=r"input") as caught:
        main([*map(str, words)])
    assert contents(folder) == before and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_known_by_every_name_it_has(tmp_path: Path) -> None:
    kept = tmp_path / "kept.nii.gz"
    kept.write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "folder")
    (tmp_path / "soft.nii.gz").symlink_to(kept)
    os.link(kept, tmp_path / "hard.nii.gz")
    for name in ("kept.nii.gz", "folder/../kept.nii.gz", "soft.nii.gz", "hard.nii.gz", "linked/../kept.nii.gz"):
        with pytest.raises(InputError, match=r"is an input too.*--output.*--name"):
            refuse_overwriting([tmp_path / "other", tmp_path / name], [None, kept])
    with pytest.raises(InputError, match="is an input too"):  # that is not there yet: by its path
        refuse_overwriting([tmp_path / "linked/new.nii"], [tmp_path / "folder/new.nii"])
    refuse_overwriting([tmp_path / "other.nii.gz"], [kept, tmp_path / "absent.nii.gz"])


def test_staged_files_replace_no_input_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("kept")
    with pytest.raises(InputError, match=r"b.txt: is an input too"), staged(tmp_path, [tmp_path / "b.txt"]) as folder:
        for name in "ab":
            (folder / f"{name}.txt").write_text("new")
    assert contents(tmp_path) == {"b.txt": b"kept"}


def test_register_says_so_before_it_computes(images: list[Path], tmp_path: Path) -> None:
    said = refused(tmp_path, "register", *images, "--output", tmp_path, *BUNDLE)
    assert "a_warped.nii.gz: is an input too" in said
    label = images[1].rename(tmp_path / "a_seen.nii.gz")
    words = ("register", images[0], images[0], "--label", label, "--output", tmp_path, *BUNDLE)
    assert "a_seen" in refused(tmp_path, *words)


def test_a_map_of_the_method_replaces_no_input_either(images: list[Path], tmp_path: Path) -> None:
    fixed = images[1].rename(tmp_path / "a_uncertainty_mm.nii.gz")
    assert "a_uncertainty_mm" in refused(tmp_path, "register", images[0], fixed, "--output", tmp_path, *BUNDLE)


def test_another_name_is_the_way_out(images: list[Path], tmp_path: Path) -> None:
    before = images[1].read_bytes()
    main(["register", *map(str, images), "--output", str(tmp_path), "--name", "b", *BUNDLE])
    assert images[1].read_bytes() == before and (tmp_path / "b_warped.nii.gz").is_file()


def test_warp_takes_neither_the_field_nor_the_reference(images: list[Path], tmp_path: Path) -> None:
    field = write_field(tmp_path / "f.nii.gz", Field(np.zeros((48, 48, 1, 3)), np.diag([1.5, 1.5, 8, 1])))
    os.link(images[0], tmp_path / "hard.nii.gz")
    for output in (images[0], field, images[1], tmp_path / "hard.nii.gz"):
        assert "is an input too" in refused(
            tmp_path, "warp", field, images[0], "--reference", images[1], "--output", output
        )


def test_a_cine_of_several_files_keeps_them(tmp_path: Path) -> None:
    names = [tmp_path / "t.nii.gz", tmp_path / "t_motion.nii.gz"]
    for path, scale in zip(names, (1.0, 0.8), strict=True):
        save_image(path, ring(48, scale)[0][..., None], np.diag([1.5, 1.5, 8, 1]))
    assert "t_motion.nii.gz" in refused(tmp_path, "cine", *names, "--output", tmp_path, *BUNDLE)


def test_prepare_does_not_write_where_it_reads(tmp_path: Path) -> None:
    """A task of the Decathlon has a dataset.json, too, which --overwrite would remove."""
    for name in "abc":
        save_image(tmp_path / f"imagesTr/{name}.nii.gz", ring(16, 1)[0][..., None].repeat(4, -1), np.eye(4))
    training = [{"image": f"./imagesTr/{name}.nii.gz"} for name in "abc"]
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "x", "labels": {}, "training": training}))
    for more in ((), ("--overwrite",)):
        said = refused(tmp_path, "prepare", "msd", "--source", tmp_path, "--output", tmp_path, *more)
        assert "lies in --output" in said


def test_a_report_does_not_replace_the_tables_it_reads(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("id,subject\n")
    said = refused(tmp_path, "report", "--evaluations", tmp_path, "--output", tmp_path / "metrics.html")
    assert "metrics.csv: is an input too" in said


def test_an_export_does_not_replace_the_weights(tmp_path: Path) -> None:
    import torch

    from common.registration.bundle import open_bundle

    weights = tmp_path / "model.pt"
    torch.save(open_bundle("vxm_hetero_disp").network.state_dict(), weights)
    words = ("export", *BUNDLE, "--checkpoint", weights, "--output", weights)
    assert "model.pt: is an input too" in refused(tmp_path, *words)
