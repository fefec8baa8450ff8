"""Draw what each shipped 2D bundle of VoxelMorph does to a pair: python docs/generate/pictures.py [DATASET].

The pair is the first of the test split, of the phantom unless a prepared data set is named. They go to docs/pictures;
so do the pictures that two programs make of a phantom, for the programs' own pages.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from pages import PICTURED
from PIL import Image
from torch import Tensor, nn

from common.data import PreparedPairs
from common.data.phantom import ensure_phantom
from common.interfaces import Deformation, Pair
from common.io import load_weights
from tools import register, render
from tools.cine import __main__ as cine
from tools.label_app.demo import make_studies
from tools.report.figures.panels import ERROR_MAP, SCORE_MAP, VARIANCE_MAP, blank, deformed_grid, show

COLOURS = 256  # of a picture: a third of its size
DOCS = Path(__file__).resolve().parent.parent
MAPS = {"log_variance": ("log σ²", VARIANCE_MAP), "score": ("score", SCORE_MAP),
        "displacement_log_variance": ("log variance of u", VARIANCE_MAP)}  # fmt: skip


def shipped(name: str) -> nn.Module:
    """The network of a bundle, with its weights."""
    folder = render.BUNDLES / name
    network = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "inference.yaml"))
    module = network.get_parsed_content("network_def")
    load_weights(module, folder / "models" / "model.pt")
    return module.eval()


def draw(method: dict[str, Any], pair: Pair, path: Path) -> None:
    """Write the picture of a method's bundle on ``pair`` (1, 1, H, W)."""
    network = shipped(f"{PICTURED}_{method['name']}")
    with torch.no_grad():
        pred = network(torch.cat([pair.moving, pair.fixed], dim=1))
    channels = {name: pred[:, number : number + 1] for number, name in enumerate(network.channels)}
    maps = [(*MAPS[name], channels[name]) for name in channels if name in MAPS]
    if method.get("shows_weight"):
        objective = render.class_of("losses", method["objective"])()
        deformation = Deformation(pred[:, :2], warped=channels["warped"])
        weight = objective.weight(pair, deformation, channels.get("log_variance"))
        maps.append(("weight of the residual", SCORE_MAP, weight))
    figure = Figure(figsize=(9, 4.3), dpi=100, layout="constrained")
    axes = figure.subplots(2, 4).flat
    for axis, title, image in zip(axes, ("moving", "fixed", "warped"), (*pair[:2], channels["warped"])):
        _panel(axis, title, image)
    axes[3].set_title("grid", fontsize=9)
    deformed_grid(axes[3], pred[0, :2].numpy())
    axes[3].set_aspect("equal")
    _bar(figure, axes[4], "|fixed − warped|", (pair.fixed - channels["warped"]).abs(), ERROR_MAP, (0, 0.4))
    for axis, (title, colours, values) in zip(axes[5:], maps):
        _bar(figure, axis, title, values, colours)
    for axis in axes[5 + len(maps) :]:
        blank(axis)
    drawn = BytesIO()
    figure.savefig(drawn)
    _save(Image.open(drawn), path)


def draw_programs(studies: Path, output: Path, to: Path) -> None:
    """Write what ``tools.register`` and ``tools.cine`` show of a phantom in ``studies`` to the folder ``to``."""
    label = studies / "labels" / "final" / "phantom0_ED.nii.gz"
    common = ["--bundle", "vxm_hetero_disp", "--label", str(label), "--output", str(output)]
    register.main([str(studies / "phantom0_ED.nii.gz"), str(studies / "phantom0_ES.nii.gz"), *common])
    cine.main([str(studies / "phantom0_cine.nii.gz"), *common, "--wall", "2", "--cavity", "3"])
    _save(Image.open(output / "phantom0_ED.png"), to / "register.png")
    animation = Image.open(output / "phantom0_cine_cine.gif")
    animation.seek(animation.n_frames // 2)
    _save(animation, to / "cine.png")


def _save(image: Image.Image, path: Path) -> None:
    image.convert("RGB").quantize(COLOURS).save(path, optimize=True)


def _panel(axis, title: str, image: Tensor, colours: str = "gray", norm: Normalize | None = None) -> None:
    axis.set_title(title, fontsize=9)
    show(axis, np.asarray(image.squeeze()), colours, norm)


def _bar(figure: Figure, axis, title: str, values: Tensor, colours: str, limits: tuple | None = None) -> None:
    low, high = limits or (float(values.min()), float(values.max()))
    norm = Normalize(low, high)
    _panel(axis, title, values, colours, norm)
    figure.colorbar(ScalarMappable(norm, colours), ax=axis, shrink=0.8, aspect=12).ax.tick_params(labelsize=7)


def main(arguments: list[str]) -> None:
    """Draw all."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = arguments[0] if arguments else ensure_phantom(Path(folder) / "phantom", pairs=(1, 1, 1), seed=3)
        item = PreparedPairs(dataset, "test")[0]
        pair = Pair(*(item[key][None] for key in ("moving", "fixed")))
        for method in render.recipes("methods"):
            name = f"{PICTURED}_{method['name']}"
            if render.results(name) and method.get("spatial_dims", 2) == 2:
                draw(method, pair, DOCS / "pictures" / f"{method['name']}.png")
        make_studies(Path(folder) / "studies")
        draw_programs(Path(folder) / "studies", Path(folder) / "registered", DOCS / "pictures")


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1:])
