"""The rules before the server, without one: names, hosts, paths, parameters, files, and what answers tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.serving.answers import Discretion, line_of
from common.serving.hosts import check_host, host_of, trusted_hosts
from common.serving.names import LONGEST, check_inside, check_name, shown
from common.serving.parameters import INFER, TRAIN, check_parameters, read_object, real_number, whole_number
from common.serving.refusal import Refused
from common.serving.routes import FORMS, SERVED, route_of
from common.serving.uploads import check_file_name, check_upload

LEADS_ELSEWHERE = ["", " ", ".", "..", ".lock", "../x", "/x", "x/y", "x\\y", "..\\x", "x\0", "x\n", "x\x7f", "C:x",
                   "x" * (LONGEST + 1), "é" * LONGEST, "\ud800", None, 5, True, [], {}, ["x"], b"x"]  # fmt: skip
NAMES = ["x", "patient 1", "a.b-c_d", "héart", "心", "x..y", "#1", "a+b", "100%", "x" * LONGEST, "12:30"]


@pytest.mark.parametrize("name", LEADS_ELSEWHERE)
def test_a_name_that_leads_elsewhere_is_refused_in_a_short_line(name: Any) -> None:
    with pytest.raises(InputError) as error:
        check_name(name, "tag")
    assert str(error.value).startswith("tag is ") and "\n" not in str(error.value) and len(str(error.value)) < 200
    str(error.value).encode()


@pytest.mark.parametrize("name", NAMES)
def test_any_other_name_passes(name: str) -> None:
    assert check_name(name, "id") == name and check_file_name(f"{name}.nii.gz", "file") == f"{name}.nii.gz"
    assert check_file_name(f"/a/b/{name}.mha", "file") == f"{name}.mha"


def test_a_long_value_is_shown_by_its_beginning() -> None:
    assert len(shown("x" * 10_000)) == 80 and shown("x") == "'x'"


def test_a_link_out_of_the_studies_is_not_written_through(tmp_path: Path) -> None:
    studies, outside = tmp_path / "studies", tmp_path / "outside"
    (studies / "labels" / "final").mkdir(parents=True)
    outside.mkdir()
    (studies / "linked.nii.gz").symlink_to(outside / "linked.nii.gz")
    (studies / "within.nii.gz").symlink_to(studies / "other.nii.gz")
    (studies / "labels" / "away").symlink_to(outside)
    check_inside(studies, "within", ["final"])
    check_inside(studies, "linked", ["final"], image=False)
    for name, tags in (("linked", []), ("within", ["away"])):
        with pytest.raises(Refused) as error:
            check_inside(studies, name, tags)
        assert error.value.status == 403


HOSTS = {"127.0.0.1": "127.0.0.1", "LocalHost:80": "localhost", "[::1]:8000": "::1", "a.b.": "a.b"}
NO_HOSTS = ["", "[::1", "a:b", "a@b", "a, b", "a/b", "a b", "::1", "a:123456"]


@pytest.mark.parametrize(("authority", "host"), [*HOSTS.items(), *((each, None) for each in NO_HOSTS)])
def test_the_host_of_an_authority(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


def asked_by(host: str, origin: str = "", method: str = "POST", more: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] * bool(origin)), *(more or [])]
    check_host(method, headers, trusted_hosts(["lab7.local", "fe80::1"]))


def test_only_trusted_hosts_and_own_pages_may_ask() -> None:
    for host in ("localhost:8000", "127.0.0.1", "[::1]", "LAB7.local:1", "[fe80::1]:80"):
        asked_by(host)
    asked_by("localhost:8000", "http://localhost:8000")
    asked_by("localhost:8000", "http://evil.example", "GET")  # which its browser does not let it read
    for host in ("evil.example", "localhost.evil.example", "", "0.0.0.0", "lab7.local.evil.example"):
        with pytest.raises(Refused, match="--hosts"):
            asked_by(host)
    with pytest.raises(Refused):
        asked_by("localhost", more=[(b"host", b"evil.example")])
    for origin in ("http://evil.example", "null", "http://localhost:3000", "file://"):
        with pytest.raises(Refused, match="origin"):
            asked_by("localhost:8000", origin)


@pytest.mark.parametrize("word", ["*", "http://lab7", "lab 7", "0.0.0.0", "::", "lab7/x"])
def test_hosts_that_are_no_names_are_refused(word: str) -> None:
    with pytest.raises(InputError, match="--hosts"):
        trusted_hosts([word])


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/logs/", 404), ("POST", "/batch/infer/x", 404), ("GET", "/proxy/dicom/x", 404), ("PUT", "/model/x", 404),
    ("POST", "/reload", 404), ("POST", "/infer/wsi/x", 404), ("GET", "/infer/x", 405), ("PATCH", "/datastore/", 405),
    ("GET", "/datastore/../info/", 404), ("GET", "//info/", 404), ("POST", "/scoring/", 404)])  # fmt: skip
def test_what_is_not_needed_is_not_served(method: str, path: str, status: int) -> None:
    with pytest.raises(Refused) as error:
        route_of(method, path)
    assert error.value.status == status


def test_what_clients_need_is_served() -> None:
    assert route_of("PUT", "/datastore/label").kind == "label" and route_of("GET", "/info").kind == ""
    assert (
        route_of("POST", "/infer/vxm_hetero").name == "vxm_hetero" and route_of("POST", "/train/").kind == "train all"
    )
    kinds = {kind for methods in SERVED.values() for kind in methods.values()}
    assert FORMS.keys() <= kinds
    for path in ("/infer/..", "/session/..", "/train/a\\b", "/infer/"):
        with pytest.raises(InputError):
            route_of("POST" if "session" not in path else "DELETE", path)


@pytest.mark.parametrize(("value", "number"), [(3, 3), ("3", 3), (3.0, 3), (0, 0), (True, None), (3.5, None),
                                               ("3.5", None),
                                               ("x", None), (None, None), ([3], None), ("9" * 5000, None), ("²", None),
                                               (float("nan"), None), (float("inf"), None)])  # fmt: skip
def test_whole_numbers(value: Any, number: int | None) -> None:
    assert whole_number(value) == number and type(whole_number(value)) is type(number)


@pytest.mark.parametrize("value", [True, "x", None, [], {}, float("nan"), "inf", "-nan", 10**400])
def test_what_is_no_finite_number(value: Any) -> None:
    assert real_number(value) is None


GOOD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        INFER,
        {"fixed": "b", "moving_frame": 0, "fixed_frame": "4", "result": ["warped", "jacobian"], "center": "detect"},
    ),
    (INFER, {"fixed": "", "moving_label": None, "center": [3, 4.5], "format": "itk", "logging": "info"}),
    *((INFER, {"refine": value}) for value in (0, "50", 1000, 5.0, "", None)),
    (INFER, {"center": "64,64", "save_label": True, "label_tag": "second reader", "client_id": "x/y", "timeout": 5}),
    (
        TRAIN,
        {"max_epochs": "3", "batch_size": 2, "learning_rate": "1e-4", "pretrained": "false", "pairs": [["a", "b"]]},
    ),
    (TRAIN, {"max_epochs": "", "pairs": "", "learning_rate": None, "pretrained": True}),
]
BAD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *((INFER, {"fixed": value}) for value in (5, [], {}, "../b", "/b")),
    *((INFER, {"fixed_frame": value}) for value in (-1, 1.5, True, "late", [1], 10**9)),
    *((INFER, {"center": value}) for value in ({}, [[1]], 5, [1, 2, 3, 4], [])),
    *((INFER, {"refine": value}) for value in (-1, 1001, 1.5, True, "many", [5])),
    *((INFER, {"logging": value}) for value in ("loud", None, "", 5)),
    *((INFER, {"model_filename": value}) for value in ("../x.pt", "LICENSE", None, 5, [])),
    (INFER, {"save_label": "yes"}), (INFER, {"label_tag": ""}), (INFER, {"result_extension": "x"}),
    (INFER, {"fixd": "b"}),
    *((TRAIN, {"max_epochs": value}) for value in (0, -1, 1.5, True, "x", 10**9)),
    *((TRAIN, {"learning_rate": value}) for value in (0, -1, "nan", "inf", 11, True)),
    *((TRAIN, {"pairs": value}) for value in ("all", [["a"]], [["a", 1]], [["a", "../b"]], {})),
    (TRAIN, {"batch_size": {}}), (TRAIN, {"pretrained": 5}), (TRAIN, {"bundle_path": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "given"), GOOD)
def test_parameters_of_their_type_and_range_pass(rules: dict[str, Any], given: dict[str, Any]) -> None:
    check_parameters(given, rules)


@pytest.mark.parametrize(("rules", "given"), BAD)
def test_others_are_refused_by_name(rules: dict[str, Any], given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(given))) as error:
        check_parameters(given, rules)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"x"', '{"a": NaN}', '{"a": Infinity}', "[" * 100_000,
                                  '{"a":' * 30 + "1" + "}" * 30, b"\xff\xfe\x00",
                                  '{"a": ' + "9" * 5000 + "}"])  # fmt: skip
def test_what_is_no_object_of_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match="params") as error:
        read_object(text, "params")
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_an_object_is_read() -> None:
    assert read_object(b'{"a": [1, {"b": null}]}', "params") == {"a": [1, {"b": None}]}


def test_a_file_that_is_sent_must_be_an_image_of_its_own(tmp_path: Path) -> None:
    good = nib.Nifti1Image(np.eye(5, dtype=np.uint8)[..., None], np.eye(4))
    cine = nib.Nifti1Image(np.random.default_rng(0).random((5, 5, 1, 3)), np.eye(4))
    for name, image in (("good.nii.gz", good), ("cine.nii.gz", cine)):
        nib.save(image, tmp_path / name)
        check_upload(tmp_path / name, "sent.nii.gz")
    check_upload(tmp_path / "good.nii.gz", "sent.nii.gz", label=True)
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:70])
    (tmp_path / "text.nii.gz").write_text("text")
    (tmp_path / "away.mha").write_text("NDims = 2\nElementType = MET_UCHAR\nElementDataFile = /etc/hostname\n")
    (tmp_path / "away.nrrd").write_text("NRRD0004\nData File: /etc/hostname\n\n")
    for name in ("cut.nii.gz", "text.nii.gz", "away.mha", "away.nrrd"):
        with pytest.raises(InputError, match="sent") as error:
            check_upload(tmp_path / name, "sent.file")
        assert str(tmp_path) not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["x.txt", "x", "x.mhd", "x.nhdr", "x.dcm", ".nii.gz", "../x.nii.gz", "x\\y.nii", None,
                                  "", f"{'x' * 300}.nii.gz", "x.nii.gz\0", "x.NII.GZ.sh"])  # fmt: skip
def test_a_file_that_is_not_named_as_an_image_is_refused(name: str | None) -> None:
    with pytest.raises(InputError, match="file"):
        check_file_name(name, "file")


def test_answers_tell_no_folder_and_no_traceback() -> None:
    tell = Discretion(["/srv/studies", "/srv", "/"])
    told = tell({"path": "/srv/studies/a.nii.gz", "at": "/srv", "other": "/srvx/a /etc/x", "n": 5, "list": ["/srv/x"]})
    assert told == {"path": "a.nii.gz", "at": "", "other": "/srvx/a /etc/x", "n": 5, "list": ["x"]}
    log = ["before", "Traceback (most recent call last):", '  File "/srv/x.py", line 1', "    raise", "InputError: bad"]
    assert tell(log) == ["before", "InputError: bad"] and tell("\n".join(log)) == "before\nInputError: bad"
    assert tell("two  spaces\n  indented") == "two  spaces\n  indented"


@pytest.mark.parametrize(("content", "line"), [
    (json.dumps({"detail": "a\n b"}).encode(), "a b"), (b"Internal Server Error", "Unprocessable"),
    (b"[]", "Unprocessable"),
    (json.dumps({"detail": [{"loc": ["query", "output"], "msg": "no"}, {"loc": ["body"], "msg": "x"}]}).encode(),
     "output: no; the request: x"), (b"", "Unprocessable"), (b"{}", "Unprocessable")])  # fmt: skip
def test_a_refusal_is_one_line_whatever_its_form(content: bytes, line: str) -> None:
    assert line_of(content, 422).startswith(line)
