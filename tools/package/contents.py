"""Every file of a package, in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.collection.receive import SUMS
from common.collection.weights import FOLDER, weights_of
from common.errors import InputError
from tools.render import BUNDLES, bundle_names

from .configs import packaged, targets, twin
from .documents import packaged_metadata, readme
from .library import SOURCE, Library, library_of
from .names import zoo_name

MEGABYTES = 25  # of a file that a repository of models holds; larger ones are listed with their place


@dataclass(frozen=True)
class Package:
    """A bundle to hand on.

    Attributes:
        bundle: its name here.
        name: its name in the Model Zoo, and that of its folder.
        version: of the bundle.
        files: path within the folder -> content, SHA256SUMS included.
        large: the same, of files that are published elsewhere.
    """

    bundle: str
    name: str
    version: str
    files: dict[str, bytes]
    large: dict[str, bytes]

    @property
    def metadata(self) -> dict[str, Any]:
        """What configs/metadata.json holds."""
        return json.loads(self.files["configs/metadata.json"])


def make(bundle: str, url: str | None = None, bundles: Path = BUNDLES, source: Path = SOURCE) -> Package:
    """The package of ``bundle``, of the folder ``bundles``, with what it needs of the library in ``source``.

    ``url`` is the folder on the web that files too large for a repository are fetched from.

    Raises:
        InputError: no such bundle, weights that are not those of its metadata, large weights without ``url``.
    """
    folder = bundles / bundle
    if bundle not in bundle_names() or not (folder / "configs").is_dir():
        raise InputError(f"{bundle}: no such bundle; choose of {', '.join(bundle_names())}, or all.")
    name = zoo_name(bundle)
    configs = {path.name: path.read_text("utf-8") for path in (folder / "configs").glob("*.yaml")}
    library = library_of({target for text in configs.values() for target in targets(text)}, source)
    metadata = packaged_metadata((folder / "configs" / "metadata.json").read_text("utf-8"), name, library.requires)
    as_they_are = ("LICENSE", "configs/logging.conf", "docs/data_license.txt")
    files = {
        **{path: (folder / path).read_text("utf-8") for path in as_they_are},
        "docs/README.md": readme((folder / "docs" / "README.md").read_text("utf-8"), bundle, metadata, library.name),
        "configs/metadata.json": json.dumps(metadata, indent=2, ensure_ascii=False) + "\n",
        **_configs(configs, bundle, library),
        **{f"{library.name}/{path}": text for path, text in library.files.items()},
    }
    encoded, weights = {path: text.encode() for path, text in files.items()}, weights_in(folder)
    large = {path: content for path, content in weights.items() if len(content) > MEGABYTES * 1e6}
    encoded |= {path: content for path, content in weights.items() if path not in large}
    if large:
        encoded["large_files.yml"] = _large_files(large, f"{name}_v{metadata['version']}", url).encode()
    return Package(bundle, name, metadata["version"], with_sums(encoded), large)


def weights_in(folder: Path) -> dict[str, bytes]:
    """Every file of weights of a bundle: path within it -> content.

    Raises:
        InputError: one that its metadata do not name, or that is missing, or another one.
    """
    named = {each.file: each.about.get("sha256") for each in weights_of(folder).values()}
    files = dict.fromkeys([*named, *sorted((folder / FOLDER).glob("*.pt"))])
    if missing := [path for path in files if not path.is_file()]:
        raise InputError(f"{missing[0]}: no such file, but its metadata name it; fetch it.")
    contents = {path: path.read_bytes() for path in files}
    for path, content in contents.items():
        _check_weights(path, content, named.get(path))
    return {path.relative_to(folder).as_posix(): content for path, content in contents.items()}


def _configs(configs: Mapping[str, str], bundle: str, library: Library) -> dict[str, str]:
    """Every YAML config as packaged, and its JSON twin."""
    made = {f"configs/{file}": packaged(text, bundle, library.name) for file, text in configs.items()}
    return made | {f"{path.removesuffix('.yaml')}.json": twin(text) for path, text in made.items()}


def _check_weights(path: Path, content: bytes, declared: str | None) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != declared:
        raise InputError(f"{path}: SHA-256 {found[:12]}..., but its metadata says {declared}; ship it by tools.ship.")


def _large_files(large: Mapping[str, bytes], prefix: str, url: str | None) -> str:
    """The list that `monai.bundle download_large_files` reads."""
    if url is None:
        raise InputError(f"{prefix}: {', '.join(large)} is above {MEGABYTES} MB; say by --url where it will be found.")
    lines = ["large_files:"]
    for path, content in large.items():
        lines += [f'- path: "{path}"', f'  url: "{url.rstrip("/")}/{prefix}_{Path(path).name}"']
        lines += [f'  hash_val: "{hashlib.sha256(content).hexdigest()}"', '  hash_type: "sha256"']
    return "\n".join(lines) + "\n"


def with_sums(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """``files`` in the order of their names, and the list of their hashes as ``sha256sum -c`` reads it."""
    kept = {path: content for path, content in sorted(files.items()) if path != SUMS}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in kept.items())
    return dict(sorted({**kept, SUMS: sums.encode()}.items()))
