"""What the worker tests call in a worker."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from balto.data.target import Target
from balto.measure.build import Program, build
from balto.workers.child import note, stage
from balto.workers.tvm_setup import import_tvm, load_back_end


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def divide(a: int, b: int) -> float:
    return a / b


def allocate(size: int) -> int:
    return len(bytearray(size))


def die(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


def die_the_first_times(path: str, number: int, times: int) -> int:
    """Dies of a signal until it has died so often; returns how often it was called."""
    file = Path(path)
    calls = len(file.read_text()) if file.exists() else 0
    file.write_text("." * (calls + 1))
    if calls < times:
        die(number)
    return calls + 1


def leave(code: int, words: str) -> None:
    print(words, file=sys.stderr, flush=True)
    os._exit(code)


def hang_with_child(path: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(path).write_text(str(child.pid))
    note(child=True)
    time.sleep(60)


def stages(naps: list[float], deadline_s: float) -> str:
    for number, seconds in enumerate(naps):
        stage(f"stage {number}", deadline_s)
        time.sleep(seconds)
    return "done"


def spend(seconds: float, clock_s: float, cpu_s: float) -> float:
    """Use so much processor time, with these limits; returns what was used."""
    stage("spending", clock_s, cpu_s)
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass
    return time.process_time() - began


def sleep(seconds: float, clock_s: float, cpu_s: float) -> None:
    stage("sleeping", clock_s, cpu_s)
    time.sleep(seconds)


def compile_for_ever(program: Program) -> None:
    """Build and export a program again and again: mostly, there are object files."""
    while True:
        build(program, export=True)


def temporary_folder() -> str:
    """In which a file is left."""
    Path(tempfile.mkdtemp(), "left").touch()
    return tempfile.gettempdir()


def shout(text: str) -> None:
    print(text)
    print(text, file=sys.stderr)


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)


def loaded_tvm(target: Target) -> dict[str, bool]:
    """What is there after `import_tvm`."""
    before = dict(os.environ)
    tvm = import_tvm(target)
    importlib.import_module("tvm.s_tir.tensor_intrin")  # as TuneContext does
    return {
        "torch": sys.modules.get("torch") is not None,
        "environment": dict(os.environ) == before,
        "random": tvm.get_global_func("tvm.contrib.random.random_fill", True) is not None,
        "x86": hasattr(sys.modules["tvm.s_tir.tensor_intrin.x86"], "VNNI_DOT_16x4_INTRIN"),
        "cuda": hasattr(sys.modules["tvm.s_tir.tensor_intrin.cuda"], "get_wmma_load_intrin"),
        "stacks": bool(inspect.stack()[0].code_context),
    }


def cuda_target() -> str:
    """JSON of the first CUDA device's target; empty where there is none."""
    tvm = load_back_end(Target("cuda"))
    if not tvm.cuda(0).exist:
        return ""
    return str(tvm.target.Target.from_device(tvm.cuda(0)))


def loaded(*modules: str) -> list[bool]:
    return [name in sys.modules for name in modules]


def surroundings(variable: str) -> dict[str, object]:
    cpus = sorted(os.sched_getaffinity(0))
    return {"value": os.environ.get(variable), "folder": str(Path.cwd()), "cpus": cpus}


def read(descriptor: int) -> str:
    return os.read(descriptor, 100).decode()
