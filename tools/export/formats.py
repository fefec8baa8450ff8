"""A network as TorchScript or ONNX, and whether what is in the file computes what the network does."""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType

import torch
from torch import Tensor, nn

from common.errors import InputError
from common.networks.tracing import example_image
from common.registration.bundle import OpenBundle

OPSET = 20  # the first whose GridSample takes volumes
TOLERANCE = {"torchscript": 1e-5, "onnx": 1e-4}  # of the largest value, where that is above 1
SIZES = {2: ((1, (64, 48)), (3, (31, 45))), 3: ((1, (32, 16, 24)), (3, (13, 22, 17)))}  # batches of what is compared
Run = Callable[[Tensor], Tensor]


def about(bundle: OpenBundle) -> dict[str, str]:
    """What an exported file says of itself, each entry JSON."""
    entries = {"bundle": bundle.name, "version": bundle.version, "channels": list(bundle.network.channels)}
    entries |= {"inputs": bundle.network.inputs, "spatial_dims": bundle.spatial_dims}
    return {key: json.dumps(value) for key, value in entries.items()}


def to_torchscript(network: nn.Module, entries: Mapping[str, str]) -> bytes:
    """``network`` as a TorchScript archive; ``entries`` are files in it."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network), buffer, _extra_files={f"{key}.json": e for key, e in entries.items()})
    return buffer.getvalue()


def to_onnx(network: nn.Module, entries: Mapping[str, str]) -> bytes:
    """``network`` as an ONNX model from ``image`` to ``pred``; ``entries`` are in its metadata."""
    onnx, buffer = package("onnx"), io.BytesIO()
    axes = {0: "batch", **{2 + axis: name for axis, name in enumerate("ijk"[: network.spatial_dims])}}
    for module in ("monai", r"torch\.nn\.functional"):  # see common.networks.tracing
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning, module=module)
    with torch.no_grad():
        torch.onnx.export(
            network,
            (example_image(network),),
            buffer,
            input_names=["image"],
            output_names=["pred"],
            dynamic_axes={"image": axes, "pred": axes},
            opset_version=OPSET,
            dynamo=False,  # the other exporter settles sizes
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, dict(entries))
    return model.SerializeToString()


def torchscript_run(content: bytes) -> Run:
    """What a TorchScript archive computes."""
    return torch.jit.load(io.BytesIO(content), map_location="cpu")


def onnx_run(content: bytes) -> Run:
    """What an ONNX model computes, by onnxruntime on the CPU."""
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


FORMATS = {"torchscript": (to_torchscript, torchscript_run), "onnx": (to_onnx, onnx_run)}


def package(name: str) -> ModuleType:
    """An optional package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"--to onnx: the package {name} is missing; pip install onnx onnxruntime") from error


def exported(network: nn.Module, form: str, entries: Mapping[str, str]) -> tuple[bytes, float]:
    """``network`` in a format of ``FORMATS``, and how far its output is from the network's, see ``difference``.

    Raises:
        InputError: for a network that cannot be exported, or whose file gives something else.
    """
    make, opened = FORMATS[form]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of both exporters; no other takes every size
            content = make(network, entries)
            found = difference(network, opened(content))
    except RuntimeError as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{entries['bundle']}: cannot be exported as {form}: {line}; try another --to.") from error
    if not found <= TOLERANCE[form]:
        raise InputError(
            f"{entries['bundle']}: as {form} its output differs by {found:.1e}, more than {TOLERANCE[form]:.0e}; "
            "nothing is written, try another --to."
        )
    return content, found


@torch.no_grad()
def difference(network: nn.Module, run: Run) -> float:
    """The largest difference between two outputs, over the largest value if above 1, on batches of several sizes."""
    found = []
    for batch, size in SIZES[network.spatial_dims]:
        image = example_image(network, batch, size)
        expected = network(image)
        found.append((run(image) - expected).abs().max() / expected.abs().max().clamp(min=1))
    return torch.stack(found).max().item()
