"""Where the bundles lie that are served."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from common.collection.find import find_bundle
from common.errors import InputError


def bundle_folders(words: Iterable[str]) -> dict[str, Path]:
    """Return name to folder of bundles, which are given by name, folder or package (.zip).

    Raises:
        InputError: none is named, one that is no bundle or has no weights, or two of one name.
    """
    folders: dict[str, Path] = {}
    for word in filter(None, map(str.strip, words)):
        found = find_bundle(word)
        if found.checkpoint:
            raise InputError(f"{word}: a run of a training; copy its model.pt to a bundle's models/, and serve that.")
        folder = found.folder.resolve()
        name = folder.name
        for needed in ("models/model.pt", "configs/metadata.json"):
            if not (folder / needed).is_file():
                raise InputError(f"{folder}: has no {needed}; serve a bundle that has, or train this one first.")
        if name in folders:
            raise InputError(f"{word}: a second bundle of the name {name}; serve them apart.")
        folders[name] = folder
    if not folders:
        raise InputError("no bundles to serve; name some: --conf models vxm_hetero,vxm_adacs.")
    return folders
