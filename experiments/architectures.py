"""Architectures of the ``transformers`` package, from PyTorch and from ONNX files.

    python experiments/architectures.py [--out WORK] [NAME ...]

Needs ``pip install transformers onnxscript``, which nothing else of balto does. Nothing is
downloaded: each network has random weights, and fewer layers and channels than the published one.
It is exported by ``torch.export`` and by ``torch.onnx.export``, read and compiled untuned as
`balto tune` does it, and compared with PyTorch, and with ONNX's reference evaluator. Prints a
Markdown table; what is refused has its reason in the last column. What is in WORK is not exported
again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from balto.data.target import LLVM
from balto.deploy.compile import Network
from balto.errors import InputError, WorkerError
from balto.text import one_line
from balto.workers.calls import call_about
from balto.workers.worker import Worker

#: Seconds that reading, compiling or running one network may take.
_DEADLINE_S = 600.0
_IMAGE, _TOKENS = (1, 3, 64, 64), (1, 16)
#: Of each network: the class of its configuration, what is smaller in it, and its input's shape.
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "ViT": (
        "ViT",
        {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        | {"intermediate_size": 128, "image_size": 64},
        _IMAGE,
    ),
    "Swin": ("Swin", {"embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4]}, (1, 3, 224, 224)),
    "ConvNeXt": (
        "ConvNext",
        {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 2, 1]},
        _IMAGE,
    ),
    "EfficientNet": (
        "EfficientNet",
        {"width_coefficient": 0.25, "depth_coefficient": 0.5, "hidden_dim": 320},
        _IMAGE,
    ),
    "SegFormer": (
        "Segformer",
        {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]},
        _IMAGE,
    ),
    "MobileViT": (
        "MobileViT",
        {"image_size": 64, "hidden_sizes": [24, 32, 40]}
        | {"neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]},
        _IMAGE,
    ),
    "GPT-2": ("GPT2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 512}, _TOKENS),
    "Llama": (
        "Llama",
        {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        | {"num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 512},
        _TOKENS,
    ),
    "DistilBERT": (
        "DistilBert",
        {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": 512},
        _TOKENS,
    ),
    "Whisper's encoder": (
        "Whisper",
        {"d_model": 64, "encoder_layers": 2, "encoder_attention_heads": 4}
        | {"decoder_attention_heads": 4, "decoder_layers": 1}
        | {"encoder_ffn_dim": 128, "max_source_positions": 50},
        (1, 80, 100),
    ),
    "ResNet-18": (
        "ResNet",
        {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
        _IMAGE,
    ),
    "RegNet": ("RegNet", {"hidden_sizes": [32, 64, 160, 384], "depths": [1, 1, 2, 1]}, _IMAGE),
}


class First(torch.nn.Module):
    """The first of what a network returns: its last hidden state."""

    def __init__(self, network: Any, **how: Any) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Run it."""
        result: torch.Tensor = self.network(given, **self.how)[0]
        return result


def build(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """A network with random weights, and an input."""
    transformers = importlib.import_module("transformers")
    kind, smaller, shape = NETWORKS[name]
    config = getattr(transformers, f"{kind}Config")(**smaller)
    torch.manual_seed(0)
    whole = getattr(transformers, f"{kind}Model")(config)
    network = whole.encoder if kind == "Whisper" else whole
    how = {"use_cache": False} if kind in ("GPT2", "Llama") else {}
    given = torch.randn(shape) if len(shape) > 2 else torch.randint(0, 512, shape)
    first = First(network, return_dict=False, **how)
    normalise(first, given)
    return first.eval(), given


def normalise(network: torch.nn.Module, given: torch.Tensor) -> None:
    """Let values neither grow nor vanish: as they are drawn, some networks compute zeros alone."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.kaiming_normal_(parameter)
    layers = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = 1.0
    if layers:
        with torch.no_grad():
            network.train()(torch.randn(4, *given.shape[1:]))


def export_pt2(network: torch.nn.Module, given: torch.Tensor, path: Path) -> None:
    torch.export.save(torch.export.export(network, (given,)), path)


def export_onnx(network: torch.nn.Module, given: torch.Tensor, path: Path) -> None:
    torch.onnx.export(network, (given,), path, dynamo=True, external_data=False, verbose=False)


FORMATS: dict[str, Callable[[torch.nn.Module, torch.Tensor, Path], None]] = {
    ".pt2": export_pt2,
    ".onnx": export_onnx,
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters warn about their own internals."""
    logging.disable(logging.WARNING)
    with (
        warnings.catch_warnings(),
        torch.no_grad(),
        open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
    ):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def row(name: str, path: Path, worker: Worker) -> list[str]:
    """A row of the table: what became of a file."""
    if not path.exists():
        try:
            with quiet():
                FORMATS[path.suffix](*build(name), path)
        except Exception as error:  # the exporter's own
            return ["-", "-", "-", "-", "-", f"not exported: {_reason(error)}"]
    spec, library, began = str(path), path.with_name(f"{path.name}.so"), time.perf_counter()
    try:
        network: Network = call_about(
            *(spec, worker, "balto.deploy.compile:read", spec, LLVM), deadline_s=_DEADLINE_S
        )
        target = worker.call("balto.tasks.devices:resolve", LLVM, deadline_s=_DEADLINE_S)
        compiling = "balto.deploy.compile:compile_network"
        call_about(*(spec, worker, compiling, spec, target, {}, library), deadline_s=_DEADLINE_S)
        seconds = time.perf_counter() - began
        comparing = ("balto.deploy.verify:compare", spec, library, network.inputs, target)
        off = call_about(spec, worker, *comparing, deadline_s=_DEADLINE_S).error
    except (InputError, WorkerError) as refusal:
        return ["-", "-", "-", "-", f"{time.perf_counter() - began:.1f}", _reason(refusal)]
    cells = [len(network.tasks), len(network.left_out), network.layout or "-", f"{off:.2g}"]
    return [*map(str, cells), f"{seconds:.1f}", "" if off <= 1 else "**wrong**"]


def _reason(error: Exception) -> str:
    return one_line(error).replace("|", "/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--out", type=Path, default=Path("architectures"))
    settings = parser.parse_args()
    for library in ("transformers", "onnxscript"):
        try:
            importlib.import_module(library)
        except ImportError:
            sys.exit(f"{library} is not installed: pip install transformers onnxscript")
    settings.out.mkdir(parents=True, exist_ok=True)
    head = ("network", "format", "tasks", "left out", "layout", "error, tolerances", "seconds", "")
    print(f"| {' | '.join(head)} |\n|{' -- |' * len(head)}", flush=True)
    with Worker() as worker:
        for name in settings.names:
            for suffix in FORMATS:
                path = settings.out / f"{name.replace(' ', '-')}{suffix}"
                print(f"| {' | '.join([name, suffix, *row(name, path, worker)])} |", flush=True)


if __name__ == "__main__":
    main()
