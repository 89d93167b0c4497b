"""The TVM target to compile for, and the name of the device that it stands for."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from balto.errors import InputError

#: What ``--target`` takes in the place of JSON.
KINDS = ("llvm", "cuda")


def parse(spec: str) -> dict[str, Any]:
    """A target from ``llvm``, ``cuda`` or JSON. Needs no TVM.

    Raises:
        InputError: neither a known kind nor a JSON object with a ``kind``.
    """
    if spec in KINDS:
        return {"kind": spec}
    try:
        target = json.loads(spec)
    except json.JSONDecodeError:
        target = None
    if not isinstance(target, dict) or not isinstance(target.get("kind"), str):
        raise InputError(
            f"expected a target: {', '.join(KINDS)}, or JSON such as "
            f'{{"kind": "llvm", "mcpu": "znver3", "num-cores": 1}}; got {spec}'
        )
    return target


def resolve(target: dict[str, Any]) -> dict[str, Any]:
    """Fill in what a bare ``llvm`` or ``cuda`` leaves open, from this machine. Needs TVM.

    One core for ``llvm``, so that the others can build; state ``num-cores`` for more.

    Raises:
        InputError: TVM does not know the target, or the device is not there.
    """
    import tvm

    kind = target["kind"]
    if kind == "llvm" and "mcpu" not in target and "mtriple" not in target:
        target = {"kind": kind, "mcpu": str(tvm.target.codegen.llvm_get_system_cpu()), **target}
    if kind == "llvm":
        target = {"num-cores": 1, **target}
    if kind == "cuda" and set(target) == {"kind"}:
        if not tvm.cuda().exist:
            raise InputError("the target is cuda, but this machine has no CUDA device")
        target = json.loads(tvm.target.Target.from_device(tvm.cuda()).__str__())
    try:
        tvm.target.Target(target)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"TVM refuses the target {json.dumps(target)}: {lines[-1]}") from error
    return target


def device_name(target: dict[str, Any]) -> str:
    """The device on this machine that runs programs of `target`, for people. CUDA needs TVM."""
    if target["kind"] == "cuda":
        import tvm

        return str(tvm.cuda().device_name)
    cores = int(target.get("num-cores", 1))
    return f"{processor()}, {cores} core{'s' if cores > 1 else ''}"


def processor() -> str:
    """The name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
