"""How the wheel is made: ``common`` as ``warpsure``, ``tools`` as ``warpsure.tools``, the bundles as its data."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

TEXTS = {".py", ".yaml", ".json", ".html", ".md", ".txt"}
NAMES = {  # of the repository -> of the wheel; `common` itself names neither, and stays as it is
    r"python -m tools\.(\w+)": lambda program: f"warpsure {program[1].replace('_', '-')}",
    r"(?<![\w./-])common(?=\.\w| import\b)": "warpsure",
    r"(?<![\w./-])tools(?=\.\w| import\b)": "warpsure.tools",
    r"\bimport common$": "import warpsure",
}


def renamed(text: str) -> str:
    """The text of a program or a config, as the wheel has it."""
    for pattern, name in NAMES.items():
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text


class Build(build_py):
    """Copy all that a wheel holds, anew each time."""

    def run(self) -> None:
        if self.editable_mode:
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        package = Path(self.build_lib) / "warpsure"
        shutil.copytree("common", package, ignore=shutil.ignore_patterns("__pycache__"))
        tools = [path for path in Path("tools").rglob("*") if not {"__pycache__", "editable"} & {*path.parts}]
        parts = ("LICENSE", "configs/*", "docs/*", "models/model*.pt")
        bundles = [path for part in parts for path in Path("bundles").glob(f"*/{part}")]
        for source in (path for path in tools + bundles if path.is_file()):
            target = package / source
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix in TEXTS:
                target.write_text(renamed(source.read_text("utf-8")), "utf-8")
            else:
                shutil.copyfile(source, target)


class Editable(editable_wheel):
    """In a checkout, `common` and `tools` keep their names, and `warpsure` is another for both."""

    def run(self) -> None:
        self.distribution.packages = ["common", "tools", "warpsure"]
        self.distribution.package_dir = {"warpsure": "tools/editable"}
        super().run()


Path("build").mkdir(exist_ok=True)
setup(
    options={"egg_info": {"egg_base": "build"}},
    packages=["warpsure"],
    package_dir={"warpsure": "common"},
    cmdclass={"build_py": Build, "editable_wheel": Editable},
)
