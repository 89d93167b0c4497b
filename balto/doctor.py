"""What this machine can do: versions, targets, cores, load."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from balto.data.target import Target
from balto.data.versions import version_of
from balto.errors import WorkerError
from balto.measure.noise import measure_noise
from balto.tasks.devices import processor
from balto.workers.worker import Worker

#: Distribution -> the version that is known to work; a newer apache-tvm-ffi segfaults.
PINNED = {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1"}
#: Busy cores, by other processes, from which on timings suffer.
BUSY = 0.5


@dataclass(frozen=True)
class Check:
    """One line of the doctor's findings.

    Attributes:
        name: what was looked at.
        value: what was found.
        ok: whether a live campaign can run with it.
        advice: what to do, or what will be worse; empty if nothing.
    """

    name: str
    value: str
    ok: bool = True
    advice: str = ""

    @property
    def mark(self) -> str:
        """``ok``, ``note`` or ``BAD``."""
        return "BAD" if not self.ok else "note" if self.advice else "ok"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything that a live campaign needs; takes a few seconds."""
    return [*_versions(), *_cores(), *_noise(), *_targets()]


def _versions() -> list[Check]:
    checks = [Check("python", platform.python_version())]
    for name, wanted in PINNED.items():
        found = version_of(name)
        ok = found == wanted
        advice = "" if ok else f"pip install {name}=={wanted}; other versions are known to crash"
        checks.append(Check(name, found or "not installed", ok, advice))
    for name, extra in (("torch", "torch"), ("onnx", "onnx")):
        found = version_of(name)
        advice = "" if found else f"pip install 'balto[{extra}]' to read such networks"
        checks.append(Check(name, found or "not installed", True, advice))
    xgboost = version_of("xgboost-cpu") or version_of("xgboost")
    checks.append(Check("xgboost", xgboost or "not installed", xgboost is not None))
    return checks


def _cores() -> list[Check]:
    usable = sorted(os.sched_getaffinity(0))
    load = sum(psutil.cpu_percent(interval=0.5, percpu=True)[i] for i in usable) / 100
    return [
        Check("processor", processor()),
        Check(
            "cores",
            f"{len(usable)} usable ({', '.join(map(str, usable))}) of {os.cpu_count()}",
            advice="" if len(usable) > 1 else "timing shares its only core with building",
        ),
        Check(
            "load",
            f"{load:.2f} of {len(usable)} cores busy",
            advice="" if load < BUSY else "other processes run: timings will be noisy, stop them",
        ),
    ]


def _noise() -> list[Check]:
    noise = measure_noise()
    spread = f"a fixed 1 ms kernel varies by {noise.spread:.1%}, its slowest 1 % by"
    return [
        Check("timer", f"{noise.timer_s * 1e9:.0f} ns; {spread} {noise.worst - 1:.0%}"),
        Check(
            "noise",
            f"core slower than usual {noise.disturbed:.0%} of the time",
            advice=noise.meaning,
        ),
    ]


def _targets() -> list[Check]:
    """Ask TVM, in a process of its own."""
    checks = []
    with Worker() as worker:
        for kind in ("llvm", "cuda"):
            try:
                found = worker.call("balto.doctor:describe_target", kind, deadline_s=120.0)
                checks.append(Check(f"target {kind}", found))
                if kind == "llvm":
                    nan = worker.call("balto.deploy.nan:describe", deadline_s=120.0)
                    checks.append(Check("NaN of tuned networks", nan))
                if kind == "cuda":
                    checks.append(_cuda_compiler())
            except WorkerError as error:
                reason = str(error).splitlines()[0]
                missing = kind == "cuda"
                checks.append(Check(f"target {kind}", "no" if missing else reason, missing))
    return checks


def _cuda_compiler() -> Check:
    """What TVM would compile for the GPU with; it finds out at the first program.

    A note if it is not there: campaigns on the processor need none.
    """
    chosen = os.environ.get("TVM_CUDA_COMPILE_MODE", "nvrtc")
    if chosen == "nvrtc":
        there = version_of("cuda-bindings") is not None
        advice = "pip install cuda-bindings, or set TVM_CUDA_COMPILE_MODE=nvcc where nvcc is"
    else:
        there = shutil.which(chosen) is not None
        advice = f"put {chosen} on the PATH, or unset TVM_CUDA_COMPILE_MODE"
    found = chosen if there else f"{chosen}, which is not installed"
    return Check("CUDA compiler", found, advice="" if there else f"for the GPU: {advice}")


def describe_target(kind: str) -> str:
    """The target of this machine for a kind of device, as JSON. Runs in a worker."""
    from balto.tasks.devices import resolve
    from balto.workers.tvm_setup import import_tvm

    import_tvm(Target(kind))
    return resolve(Target(kind)).to_json()
