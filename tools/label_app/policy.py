"""What this server lets pass: the rules of `common.serving`, and what only the server knows: its models and folders."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import device_list
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams, UploadFile
from starlette.requests import Request

import common
from common.errors import InputError
from common.serving import parameters, routes
from common.serving.answers import Discretion
from common.serving.hosts import trusted_hosts
from common.serving.names import QUERY, check_inside, check_name, is_name, shown
from common.serving.parameters import Rule, check_parameters, read_object
from common.serving.refusal import Refused
from common.serving.routes import Route
from common.serving.uploads import ENDINGS, check_file_name, check_upload

from .body import Body

TEXT = 1 << 20  # bytes of a body that has no files
CHECKSUM = re.compile(r"(SHA256:|SHA512:|MD5:)?[0-9a-fA-F]{32,128}")


class Policy:
    """The settings of a server, and the checks that need them."""

    def __init__(self) -> None:
        conf = settings.MONAI_LABEL_APP_CONF
        self.hosts = trusted_hosts(str(conf.get("hosts", "")).split(","))
        self.largest = int(conf.get("upload_mb", routes.LARGEST)) << 20
        folders = (settings.MONAI_LABEL_STUDIES, settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_SESSION_PATH)
        code = (Path(common.__file__).parents[1], sys.prefix, sys.base_prefix, Path.home(), Path.cwd())
        self.discretion = Discretion([*filter(None, folders), *code, tempfile.gettempdir()])

    async def check(self, route: Route, scope: Any, body: Body) -> None:
        """See that a request means something, and leads nowhere else; take its body."""
        query = QueryParams(scope["query_string"])
        check_query(route, query)
        await body.read(self.largest if route.kind in routes.FORMS else TEXT)
        sent = None
        if route.kind in routes.FORMS:
            sent = await check_form(route, Request(scope, body.again), body)
        elif route.kind in routes.JSON and body.size:
            _check_type(scope, "application/json", "JSON")
            check_json(route, body.bytes())
        body.rewind()
        if route.kind == "infer" and not (query.get("image") or query.get("session_id") or sent):
            raise InputError("no image; give its id as image=, or send a file.")
        if route.kind == "infer":
            check_known(query.get("image") or "")
        if route.kind in ("train", "sample"):
            check_served(route)
        check_links(route, query, sent or "")


def check_query(route: Route, query: QueryParams) -> None:
    """See that what a URL names is named by the rule."""
    for key, value in query.multi_items():
        if route.kind == "infer" and key == "image" and value and not is_name(value):
            raise no_image(value)
        if key in QUERY and value:
            check_name(value, key)
        if key == "uncompress" and value.lower() not in ("", "0", "false", "no", "off"):
            raise InputError("archives are not unpacked here; send an image of one file.")
        if key == "output" and value == "dicom_seg":
            raise InputError("output is 'dicom_seg'; registration gives image, json or all.")
        if key == "check_sum" and not CHECKSUM.fullmatch(value):
            raise InputError(f"check_sum is {shown(value)}; give SHA256:, SHA512: or MD5: and hexadecimal digits.")


async def check_form(route: Route, request: Request, body: Body) -> str:
    """See that the fields of a form mean something; return the name of the file in it, "" without one."""
    if not body.size:
        return ""
    _check_type(request.scope, "multipart/form-data", "a form", "application/x-www-form-urlencoded")
    if "multipart" not in request.headers["content-type"] and body.size > TEXT:
        raise Refused(413, "more than 1 MB of text is sent; that is the most that this takes.")
    sent = ""
    async with request.form(max_files=len(routes.FORMS[route.kind])) as form:
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                sent = await check_sent(route, key, value)
            elif key in QUERY and value:
                check_name(value, key)
            elif key in ("params", "info") and (value or key == "info"):
                check_for(route, read_object(value, key))
    return sent


async def check_sent(route: Route, key: str, file: UploadFile) -> str:
    """See that a file is an image, by a copy that does not stay; return its name."""
    if key not in routes.FORMS[route.kind]:
        allowed = " and ".join(routes.FORMS[route.kind]) or "none"
        raise InputError(f"{shown(key)} is no file of this request; it takes {allowed}.")
    name = check_file_name(file.filename, key)

    def look() -> None:
        with tempfile.TemporaryDirectory(prefix="looked_at_") as folder:
            path = Path(folder) / name
            with path.open("wb") as copy:
                while chunk := file.file.read(1 << 20):
                    copy.write(chunk)
            check_upload(path, name, label=key == "label")

    await run_in_threadpool(look)
    return name


def check_json(route: Route, content: bytes) -> None:
    """See that a body in JSON means something."""
    given = read_object(content, "the body")
    if route.kind != "train all":
        return check_for(route, given)
    for key, value in given.items():  # of each trainer its own
        if key in app_instance()._trainers and isinstance(value, dict):
            check_for(Route("train", "POST", "", key), value)
        else:
            check_parameters({key: value}, parameters.ANY_CLIENT)


def check_for(route: Route, given: dict[str, Any]) -> None:
    """See that parameters are of the rules of their kind; what a model is configured by, it may be asked for."""
    if route.kind not in ("infer", "train"):
        return check_parameters(given, {"sample": parameters.SAMPLE}.get(route.kind, parameters.INFO), others=True)
    served = app_instance()._infers if route.kind == "infer" else app_instance()._trainers
    model = served.get(route.name)
    own = dict.fromkeys(model.config() if model else (), parameters.SCALAR)
    table = parameters.INFER if route.kind == "infer" else parameters.TRAIN
    check_parameters(given, {**own, **table, "device": device_rule()})


def device_rule() -> Rule:
    """The devices of this machine; one without a GPU takes its CPU for one, as MONAI Label does."""
    numbered = [f"cuda:{number}" for number in range(max(1, torch.cuda.device_count()))]
    return parameters.one_of(*dict.fromkeys(["cpu", "cuda", *numbered, *device_list()]))


def check_known(image: str) -> None:
    """See that an image is one of the studies: MONAI Label would look for it in its own folder too."""
    if image and Path(image).exists() and image not in app_instance().datastore().list_images():
        raise no_image(image)


def no_image(image: str) -> Refused:
    """The refusal of an image that is not there, or can not be."""
    return Refused(404, f"no image {shown(image)} among the studies; GET /datastore/?output=all lists them.")


def check_served(route: Route) -> None:
    """See that a trainer or a strategy is there: MONAI Label would start a process to find out."""
    served = app_instance()._trainers if route.kind == "train" else app_instance()._strategies
    if route.name not in served:
        there = ", ".join(served) or "none"
        raise Refused(404, f"{shown(route.name)} is not there for this; there are {there}.")


def check_links(route: Route, query: QueryParams, sent: str) -> None:
    """See that what is written or removed lies in the studies folder."""
    if route.method not in ("PUT", "DELETE") or route.kind == "info" or not route.path.startswith("/datastore"):
        return
    studies = Path(settings.MONAI_LABEL_STUDIES)
    of_label = "label" in route.path
    given = query.get("id") or query.get("image") or ""
    name = given or next((sent.removesuffix(e) for e in ENDINGS if sent.endswith(e)), "")
    if not name or not studies.is_dir():
        return
    tags = [query.get("tag") or "final"] if of_label else []
    if route.method == "DELETE" and not of_label:
        tags = [path.name for path in (studies / "labels").glob("*") if path.is_dir()]
    check_inside(studies, name, tags, image=not of_label)


def _check_type(scope: Any, kind: str, words: str, *more: str) -> None:
    given = Request(scope).headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in (kind, *more):
        raise Refused(415, f"the body is {shown(given)}; send {words} ({kind}).")
