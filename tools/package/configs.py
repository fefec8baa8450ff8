"""A bundle's configs as a package has them: they find the bundle, and the library that it carries, by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from common.errors import InputError

from .library import NAME

# the bundle's folder joins sys.path by append: site.addsitedir would also run every .pth file in it, and weights are
# often called that
HEADER = """\
# This bundle's folder, and the library in it. MONAI does not tell a config where it lies, so the call that reads this
# file is asked (run, load, ckpt_export, verify_net_in_out), and the working directory is the last resort; --bundle_root
# DIR says it outright. `_requires_: "@bundle"` below has the library found before anything of it is made.
bundle_root: >-
  $next((str(folder.resolve().parent)
  for call in __import__('inspect').stack(0) for names in [call.frame.f_locals]
  for folder in [getattr(names.get('self'), '__dict__', {}).get('config_root_path'),
  *(__import__('pathlib').Path(file).parent for file in monai.utils.ensure_tuple(names.get('config_file_') or ())[:1])]
  if folder is not None), __import__('os').getcwd())
search_path: $__import__('sys').path
"""
MODULE = """\
{alias}:
  _target_: importlib.import_module
  _requires_: $@bundle_root in @search_path or @search_path.append(@bundle_root)
  name: {module}
"""
IMPORT = re.compile(rf"^  - \$import {NAME}\.([\w.]+) as (\w+)$", re.MULTILINE)
IMPORTS = re.compile(rf"^imports:\n(?:  - \$import {NAME}\..*\n)+\n?", re.MULTILINE)
ROOT = re.compile(r"^bundle_root: \$\w+\.root\(.*\)\n", re.MULTILINE)
TARGET = re.compile(rf"^( *(?:- )?)_target_: {NAME}\.(.*)$", re.MULTILINE)
TARGET_IN_A_LINE = re.compile(rf"{{_target_: {NAME}\.([\w.]+)")


def packaged(text: str, name: str, library: str) -> str:
    """The text of a config of the bundle ``name``, made to use the package ``library`` in the bundle's folder.

    Raises:
        InputError: for a config that names the library in a way that this does not know.
    """
    modules = {alias: module for module, alias in IMPORT.findall(text)} or {"bundle": "bundle"}
    heads = [MODULE.format(alias=alias, module=f"{library}.{module}") for alias, module in modules.items()]
    text = ROOT.sub("", IMPORTS.sub(lambda _: HEADER + "".join(heads) + "\n", text))
    for alias in modules:
        text = re.sub(rf"\$({alias})\.", r"$@\1.", text)
    text = TARGET.sub(lambda m: f'{m[0].replace(NAME, library, 1)}\n{" " * len(m[1])}_requires_: "@bundle"', text)
    text = TARGET_IN_A_LINE.sub(rf'{{_target_: {library}.\1, _requires_: "@bundle"', text)
    text = in_the_bundle(text, name)
    left = [value for value in strings(yaml.safe_load(text)) if re.search(rf"\b{NAME}\.|\$(import|from)\b", value)]
    if left:
        raise InputError(f"{name}: a config has {left[0]!r}, which a package would not find; write it as others do.")
    return text


def in_the_bundle(text: str, name: str) -> str:
    """Paths in ``text`` as they are from the bundle's own folder."""
    return text.replace(f"bundles/{name}/", "")


def twin(text: str) -> str:
    """The same config as JSON: MONAI's ``load`` and MONAI Label look for that."""
    return json.dumps(yaml.safe_load(text), indent=2) + "\n"


def targets(text: str) -> set[str]:
    """What of the library a config of the repository names: its components, and modules that it imports."""
    named = {f"{NAME}.{match[2].split()[0]}" for match in TARGET.finditer(text)}
    named |= {f"{NAME}.{target}" for target in TARGET_IN_A_LINE.findall(text)}
    return named | {f"{NAME}.{module}" for module, _ in IMPORT.findall(text)}


def strings(config: Any) -> Iterator[str]:
    """Every text in a config."""
    if isinstance(config, str):
        yield config
    elif isinstance(config, (dict, list)):
        for value in config.values() if isinstance(config, dict) else config:
            yield from strings(value)
