"""What of MONAI Label's interface is served: what its clients need to register, label and train, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .names import check_name, shown
from .refusal import Refused


@dataclass(frozen=True)
class Route:
    """One request: what ``kind`` its body is of, and the ``name`` in its path.

    Kinds: "infer", "train", "train all", "sample", "image", "label", "info", "session"; "" has no body.
    """

    kind: str
    method: str
    path: str
    name: str = ""


FORMS = {"infer": ("file", "label"), "image": ("file",), "label": ("label",), "session": ("files",), "info": ()}
"""Kinds whose body is a form, and the fields of it that are files."""
JSON = ("train", "train all", "sample")
LARGEST = 1024
"""MB of a body that brings files, unless the server is told otherwise."""
NAME = "([^/]*)"
SERVED = {
    "/": {"GET": ""},
    "/docs": {"GET": ""},
    "/openapi.json": {"GET": ""},
    "/favicon.ico": {"GET": ""},
    "/info/": {"GET": ""},
    "/auth/": {"GET": ""},
    "/auth/token": {"POST": "auth"},
    "/auth/token/valid": {"GET": ""},
    "/datastore/": {"GET": "", "PUT": "image", "DELETE": ""},
    "/datastore/image": {"GET": "", "HEAD": "", "PUT": "image", "DELETE": ""},
    "/datastore/image/info": {"GET": "", "PUT": "info"},
    "/datastore/label": {"GET": "", "HEAD": "", "PUT": "label", "DELETE": ""},
    "/datastore/label/info": {"GET": "", "PUT": "info"},
    "/datastore/updatelabelinfo": {"PUT": "info"},
    f"/infer/{NAME}": {"POST": "infer"},
    "/train/": {"GET": "", "POST": "train all", "DELETE": ""},
    f"/train/{NAME}": {"POST": "train"},
    f"/activelearning/{NAME}": {"POST": "sample"},
    "/session/": {"PUT": "session"},
    f"/session/{NAME}": {"GET": "", "DELETE": ""},
}
"""Path -> method -> kind. Not served are weights (/model), programs' logs, batches, scores, slides, the proxy, other
programs' pages, /reload and the archive of everything."""


def route_of(method: str, path: str) -> Route:
    """Return what a request asks for.

    Raises:
        Refused: a path that is not served, or not by this method; or (InputError) a name in it that leads elsewhere.
    """
    for pattern, methods in SERVED.items():
        found = re.fullmatch(pattern, path if path in SERVED or f"{path}/" not in SERVED else f"{path}/")
        if not found:
            continue
        if method not in methods:
            raise Refused(405, f"{method} {shown(path)[1:-1]} is not served; {', '.join(methods)} is.")
        name = check_name(found[1], "the name in the path") if found.groups() else ""
        return Route(methods[method], method, pattern, name)
    raise Refused(404, f"{method} {shown(path)[1:-1]} is not served; only what registers, labels and trains is.")
