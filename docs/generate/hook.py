"""What mkdocs calls: adds the generated pages and lists them, and puts into a page what its directives ask for."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[1:1] = [str(ROOT)]  # behind this folder, which mkdocs has put first while it loads the hook

import formulas  # noqa: E402
import pages  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402

DIRECTIVE = re.compile(r"^<!-- (README|formula|table): (.+) -->$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """List the pages of a folder of recipes where the navigation names the folder."""
    folders = {f"{kind}/": pages.paths(kind) for kind in pages.KINDS}
    for section in config.nav:
        for title, content in section.items() if isinstance(section, dict) else ():
            section[title] = folders.get(content, content) if isinstance(content, str) else content
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    try:
        for path, content in pages.all_pages().items():
            files.append(File.generated(config, path, content=content))
    except formulas.NotAFormula as error:
        raise PluginError(error.args[0]) from error
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Carry out ``<!-- README: Heading -->``, ``<!-- formula: a = b -->`` and ``<!-- table: uncertainty -->``.

    The marks of a table that `warpsure tables` fills are left out.
    """
    depth = page.file.src_uri.count("/")
    makers = {
        "README": lambda heading: pages.section(heading, depth),
        "formula": formulas.equation,
        "table": lambda name: pages.uncertainty_table() if name == "uncertainty" else "",
    }
    try:
        return DIRECTIVE.sub(lambda found: makers[found[1]](found[2]), markdown)
    except (KeyError, formulas.NotAFormula) as error:
        raise PluginError(f"{page.file.src_uri}: {error.args[0]}") from error
