"""What a target leaves open, asked of this machine; and whether there can be such a target.

TVM takes much that cannot be: it warns of a processor that LLVM does not know and compiles for a
generic one, and takes a GPU that is not there until the first program runs. `resolve` refuses it.
"""

from __future__ import annotations

import difflib
import platform
import re
from dataclasses import replace
from pathlib import Path

from balto.data.target import Target
from balto.errors import InputError
from balto.text import last_line, quoted
from balto.workers.tvm_setup import tvm_target

_FEATURE = re.compile(r"[+-][\w.-]+")


def resolve(target: Target) -> Target:
    """Fill in what a bare ``llvm`` or ``cuda`` leaves open, from this machine. Needs TVM.

    One core for ``llvm``, so that the others can build; state ``num-cores`` for more.

    Raises:
        InputError: If TVM or LLVM does not know the target, or the device is not there.
    """
    import tvm

    if target.kind == "llvm":
        target = replace(_with_processor(target), cores=target.cores or 1)
    elif not target.on_cpu and target.host is None and target.option("arch") is None:
        _require_device(target)
        if target.kind == "cuda" and set(target.to_dict()) == {"kind"}:
            target = Target.from_json(str(tvm.target.Target.from_device(tvm.cuda())))
    if target.host is not None and target.host.kind == "llvm":
        _check_processor(target.host)
    try:
        tvm_target(target)
    except Exception as error:
        raise InputError(f"TVM refuses the target {target}: {last_line(error)}") from error
    return target


def _with_processor(target: Target) -> Target:
    """An ``llvm`` target that LLVM knows, this machine's processor if it names none."""
    import tvm

    if not target.mcpu and target.option("mtriple") is None:
        _check_features(target, str(tvm.target.codegen.llvm_get_system_triple()))
        return replace(target, mcpu=str(tvm.target.codegen.llvm_get_system_cpu()))
    _check_processor(target)
    return target


def _check_processor(target: Target) -> None:
    """Ask LLVM's own lists; TVM would warn and go on, or crash on a triple that is none."""
    from tvm.target import codegen

    triple = target.option("mtriple", str(codegen.llvm_get_system_triple()))
    if not isinstance(triple, str) or not codegen.llvm_is_valid_cpu("generic", triple):
        raise InputError(
            f"LLVM cannot compile for the mtriple {triple!r}; expected one such as "
            "aarch64-linux-gnu, armv7l-linux-gnueabihf, riscv64-linux-gnu or x86_64-linux-gnu"
        )
    if target.mcpu and not codegen.llvm_is_valid_cpu(target.mcpu, triple):
        import tvm

        machine = tvm.target.Target({"kind": "llvm", "mtriple": triple})
        known = [str(name) for name in codegen.llvm_get_cpu_archlist(machine)]
        near = difflib.get_close_matches(target.mcpu, known, n=3, cutoff=0.5) or known[:3]
        raise InputError(
            f"LLVM knows no processor {target.mcpu!r} for {triple}; did you mean "
            f"{', '.join(near)}, or one more of {len(known)}?"
        )
    _check_features(target, triple)


def _check_features(target: Target, triple: str) -> None:
    """Ask LLVM for each feature of the processor; of one that is none it would warn and go on."""
    import tvm
    from tvm.target import codegen

    asked = target.option("mattr", [])
    features = asked.split(",") if isinstance(asked, str) else asked
    if not isinstance(features, list) or not all(_FEATURE.fullmatch(str(f)) for f in features):
        raise InputError(
            'expected mattr of a target to be features with + or -, such as ["+avx2", "-fma"], '
            f"got {quoted(asked)}"
        )
    if not features:
        return
    names = [each[1:] for each in features]
    on = {"kind": "llvm", "mtriple": triple, "mattr": [f"+{name}" for name in names]}
    known = codegen.llvm_get_cpu_features(tvm.target.Target(on))
    if unknown := sorted(set(names) - set(map(str, known))):
        raise InputError(
            f"LLVM knows no feature {quoted(unknown[0])} of processors of {triple}: "
            "leave it out of the target's mattr"
        )


def _require_device(target: Target) -> None:
    import tvm

    try:
        there = bool(tvm.device(target.kind).exist)
    except Exception as error:
        raise InputError(f"TVM refuses the target {target}: there is no such device") from error
    if not there:
        raise InputError(
            f"the target is {target.kind}, but this machine has no {target.kind.upper()} device; "
            "for a device elsewhere state its arch or its host"
        )


def device_name(target: Target) -> str:
    """The device on this machine that runs programs of `target`, for people. CUDA needs TVM."""
    if target.kind == "cuda":
        import tvm

        device = tvm.cuda()
        return str(device.device_name) if device.exist else f"CUDA {target.option('arch')}"
    if not target.on_cpu:
        return target.kind
    cores = target.cores or 1
    return f"{processor()}, {cores} core{'s' if cores > 1 else ''}"


def processor() -> str:
    """The name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
