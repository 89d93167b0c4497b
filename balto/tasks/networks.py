"""What a network may be: a built-in one by its name, or a model file by its path. Needs no TVM."""

from __future__ import annotations

import importlib
from pathlib import Path

from balto.data.files import one_line, reading
from balto.errors import InputError
from balto.extras import needed_for

#: The paper's networks (section 4.2) and a small one; `balto.tasks.zoo` builds them.
NETWORKS = ("lenet-5", "resnet-50", "mobilenet-v2", "resnext-50", "bert-tiny", "bert-base")
SUFFIXES = (".onnx", ".pt2")


def check(spec: str) -> None:
    """Refuse what is neither a known network nor a model file.

    Raises:
        InputError: If `spec` is no built-in network's name and no path of a model file that is
            there; with the names that would be right.
    """
    if spec in NETWORKS:
        return
    if suffix(spec) not in SUFFIXES:
        raise InputError(
            f"no network is called {one_line(spec)!r}; expected {', '.join(NETWORKS)}, "
            f"or a path that ends in {' or '.join(SUFFIXES)}"
        )
    with reading(one_line(spec), InputError):
        there = Path(spec).is_file()
    if not there:
        raise InputError(f"expected a model file, found none at {one_line(spec)}")


def suffix(spec: str) -> str:
    """The ending of a path, in lower case."""
    return Path(spec).suffix.lower()


def is_onnx(spec: str) -> bool:
    """Whether a network is an ONNX file; it is one of torch otherwise."""
    return suffix(spec) == ".onnx"


def load_library(spec: str) -> None:
    """Import what reads a network: torch before TVM, which is otherwise told that there is none.

    Raises:
        InputError: If it is not installed.
    """
    with needed_for(one_line(spec)):
        importlib.import_module("onnx" if is_onnx(spec) else "torch")
