"""Import TVM in well under a second, for the processes that need it.

A plain ``import tvm`` takes over 2 s where torch is installed, because `tvm_ffi` imports torch,
and the first `TuneContext` or builder process takes tens of seconds more, because it parses the
tensor intrinsics of every back end. Neither is needed to compile for a CPU. This is the one place
that knows; every process of ours that uses TVM starts with `import_tvm`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from balto.data.target import LLVM, Target
from balto.extras import needed_for

_AUTOLOAD = "TVM_DEVICE_BACKEND_AUTOLOAD"
_PACKAGE = "tvm.s_tir.tensor_intrin"
_INTRINSICS = ("arm_cpu", "cuda", "hexagon", "riscv_cpu", "rocm", "x86")


def import_tvm(target: Target = LLVM) -> Any:
    """Import TVM, prepared for a target, and return the module. Cheap to call again.

    torch is hidden from TVM unless this process has imported it before; a process that converts
    torch models imports torch first.

    Args:
        target: decides which back end and tensor intrinsics are loaded.

    Raises:
        ImportError: there is no such back end.
        InputError: TVM is not installed.
    """
    needed = _intrinsics_of(target)
    tvm = sys.modules.get("tvm") or _first_import()
    if not target.on_cpu:
        importlib.import_module("tvm.backend").load(target.kind)
    for name in _INTRINSICS:
        full = f"{_PACKAGE}.{name}"
        if name != needed:
            sys.modules.setdefault(full, ModuleType(full))
        elif full in sys.modules and sys.modules[full].__spec__ is None:  # our own stand-in
            del sys.modules[full]
            if _PACKAGE in sys.modules:
                importlib.import_module(full)
    return tvm


def _first_import() -> Any:
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    before = os.environ.get(_AUTOLOAD)
    os.environ[_AUTOLOAD] = "0"
    try:
        with needed_for("compiling programs"):
            tvm = importlib.import_module("tvm")
    finally:
        if hidden:
            del sys.modules["torch"]
        if before is None:
            del os.environ[_AUTOLOAD]
        else:
            os.environ[_AUTOLOAD] = before
    _load_runtime_extra()
    return tvm


def _load_runtime_extra() -> None:
    """Load the library of sorting and random numbers, which comes with the back ends."""
    from tvm.base import _LOADED_LIBS
    from tvm_ffi.libinfo import load_lib_ctypes

    folder = Path(_LOADED_LIBS["tvm_runtime"]._name).resolve().parent
    with contextlib.suppress(OSError, RuntimeError):  # optional in TVM itself
        _LOADED_LIBS["tvm_runtime_extra"] = load_lib_ctypes(
            "tvm", "tvm_runtime_extra", "RTLD_LOCAL", extra_lib_paths=[folder]
        )


def _intrinsics_of(target: Target) -> str:
    """Name of the module of tensor intrinsics that a target can use."""
    if target.kind != "llvm":
        return target.kind
    triple = str(target.option("mtriple") or platform.machine())
    if triple.startswith(("aarch64", "arm")) or "arm_cpu" in target.option("keys", ()):
        return "arm_cpu"
    return "riscv_cpu" if triple.startswith("riscv") else "x86"
