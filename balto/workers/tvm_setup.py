"""Import TVM in well under a second, for the processes that need it.

A plain ``import tvm`` takes over 2 s where torch is installed, because `tvm_ffi` imports torch,
and the first `TuneContext` or builder process takes tens of seconds more, because it parses the
tensor intrinsics of every back end. Neither is needed to compile for a CPU. A GPU's intrinsics are
needed, and take 2 s in place of 20, see `_stacks_without_source`. This is the one place that knows;
every process of ours that uses TVM imports it here.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import inspect
import os
import platform
import sys
from collections.abc import Iterator
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

    torch is hidden from TVM unless this process has imported it before; torch models are converted
    either way.

    Args:
        target: decides which back end and tensor intrinsics are loaded.

    Raises:
        ImportError: If TVM has no back end for the target's kind.
        InputError: If TVM is not installed.
    """
    needed = _intrinsics_of(target)
    tvm = load_back_end(target)
    for name in _INTRINSICS:
        full = f"{_PACKAGE}.{name}"
        if name != needed:
            sys.modules.setdefault(full, ModuleType(full))
        elif full in sys.modules and sys.modules[full].__spec__ is None:  # our own stand-in
            del sys.modules[full]
    # TVM imports a CPU's few intrinsics by itself, unless it believes that it has.
    if not target.on_cpu or _PACKAGE in sys.modules:
        _import_intrinsics(needed)
    return tvm


@functools.lru_cache(maxsize=16)
def tvm_target(target: Target) -> Any:
    """TVM's own object for a target.

    Raises:
        ImportError: If TVM has no such back end.
        InputError: If TVM is not installed.
    """
    return import_tvm(target).target.Target(target.to_dict())


def use_cores(cores: int) -> None:
    """Let TVM's programs run on so many cores in this process, and leave its threads unbound.

    With one, TVM calls a program's loops itself. It would hand them to its pool otherwise, though
    that be configured for one thread, which takes 10 us, and bind the calling thread to a CPU.
    """
    os.environ["TVM_NUM_THREADS"] = str(cores)
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    if cores > 1:  # for a pool that there is
        import_tvm().get_global_func("runtime.config_threadpool")(1, cores)


def import_tvm_for_drawing() -> Any:
    """`import_tvm` with this machine's intrinsics, which cost a first tuning context 0.8 s."""
    tvm = import_tvm()
    _import_intrinsics(_intrinsics_of(LLVM))
    return tvm


def load_back_end(target: Target) -> Any:
    """Import TVM as far as it takes to find a target's devices; a GPU's intrinsics take seconds.

    Raises:
        ImportError: If TVM has no back end for the target's kind.
        InputError: If TVM is not installed.
    """
    tvm = sys.modules.get("tvm") or _first_import()
    if not target.on_cpu:
        importlib.import_module("tvm.backend").load(target.kind)
    return tvm


def _first_import() -> Any:
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    before = os.environ.get(_AUTOLOAD)
    os.environ[_AUTOLOAD] = "0"
    try:
        with needed_for("compiling programs"), _no_waste():
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


@contextlib.contextmanager
def _no_waste() -> Iterator[None]:
    """Import TVM in three quarters of the time.

    No garbage is collected meanwhile, since there is next to none. And 50 modules of TVM ask for
    the names of all 2,000 functions, one by one; they are listed again only when there are more.
    """
    try:
        registry: Any = importlib.import_module("tvm_ffi.registry")
    except ImportError:  # TVM's own import says what is missing
        yield
        return
    names: list[str] = []
    listed, collects = registry.list_global_func_names, gc.isenabled()

    def list_global_func_names() -> list[str]:
        count = registry.get_global_func("ffi.FunctionListGlobalNamesFunctor")()(-1)
        if count != len(names):
            names[:] = listed()
        return names

    registry.list_global_func_names = list_global_func_names
    gc.disable()
    try:
        yield
    finally:
        registry.list_global_func_names = listed
        if collects:
            gc.enable()


def _import_intrinsics(name: str) -> None:
    if name in _INTRINSICS:
        with _stacks_without_source():
            importlib.import_module(f"{_PACKAGE}.{name}")


@contextlib.contextmanager
def _stacks_without_source() -> Iterator[None]:
    """Let `inspect.stack` give frames without their source lines.

    TVM's parser asks for the whole stack twice an intrinsic, of which there are 180 for CUDA, and
    `inspect` walks all modules for every frame of an import, which has no file: nine tenths of the
    time. The lines would tell the parser whether a function stands in an annotated class; none of
    the intrinsics does.
    """

    def stack(context: int = 1) -> list[inspect.FrameInfo]:  # noqa: ARG001
        frames, frame = [], sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            where = (code.co_filename, frame.f_lineno, code.co_name)
            frames.append(inspect.FrameInfo(frame, *where, code_context=None, index=None))
            frame = frame.f_back  # type: ignore[assignment]
        return frames

    whole, inspect.stack = inspect.stack, stack
    try:
        yield
    finally:
        inspect.stack = whole


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
