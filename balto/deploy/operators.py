"""Check, compile and record tuned programs. Runs in a worker with TVM."""

from __future__ import annotations

import functools
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.target import Target
from balto.deploy.nan import nan_kept
from balto.measure.execute import device_of
from balto.programs.schedule import program_of, schedule, with_laid_out_weights
from balto.workers.tvm_setup import import_tvm, tvm_target, use_cores

#: How far a tuned program may be from the untuned one, relative to the largest value: sums of
#: float32 in another order differ by some 1e-6.
TOLERANCE = 1e-4
#: The same for 16-bit floats, whose sums round at every step.
_TOLERANCE_16 = 2e-2
#: Programs are timed roughly for so many seconds, so often, and the least counts: others may use
#: the machine. One that takes longer runs twice.
_ROUGH_S, _REPEATS, _SLOW_S = 2e-3, 5, 2e-2


def error_of(module: str, trace: str, target: Target) -> float:
    """How far a program is from the untuned one on random inputs, in tolerances: right up to 1.

    The program is judged by its outputs; infinity if one is not finite where the untuned one's is.
    """
    arguments, expected = _reference(module, target)
    return distance(_outputs(module, trace, target, arguments), expected)


def compared(module: str, trace: str, target: Target) -> tuple[float, float]:
    """How a program that nobody measured stands beside the untuned one.

    Returns:
        `error_of`; its seconds over those of the untuned one, each timed for a few milliseconds.
    """
    error = error_of(module, trace, target)
    return error, _rough_s(module, trace, target) / _rough_s(module, "", target)


def _rough_s(module: str, trace: str, target: Target) -> float:
    """Seconds of a program, without the layout of its weights."""
    tvm, device = import_tvm(target), device_of(target)
    use_cores(target.cores or 1)
    made = with_laid_out_weights(program_of(module, trace, target))
    built = tvm.tirx.build(made, tvm_target(target))
    infos = tvm.s_tir.meta_schedule.arg_info.ArgInfo.from_prim_func(made["main"])
    arrays = random_arrays([([int(d) for d in info.shape], str(info.dtype)) for info in infos])
    tensors = [tvm.runtime.tensor(each, tvm.device(device)) for each in arrays]
    timed = built.time_evaluator("main", tvm.device(device), number=1, repeat=2)
    if (once_s := float(min(timed(*tensors).results))) > _SLOW_S:
        return once_s
    number = max(1, round(_ROUGH_S / max(once_s, 1e-7)))
    timed = built.time_evaluator("main", tvm.device(device), number=number, repeat=_REPEATS)
    return float(min(timed(*tensors).results))


def distance(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """How far an output is from what it should be, in tolerances: right up to 1.

    Infinity if the shapes differ, or one is not finite where the other is.
    """
    if got.shape != expected.shape:
        return float("inf")
    short = expected.dtype.name in ("float16", "bfloat16")
    tolerance = _TOLERANCE_16 if short else TOLERANCE
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(got)):
        return float("inf")
    scale = float(np.abs(expected[finite]).max(initial=0.0)) or 1.0
    return float(np.abs(got[finite] - expected[finite]).max(initial=0.0)) / scale / tolerance


def suffix_of(target: Target) -> str:
    """What the name of a library ends in: ``.so``, or ``.tar`` for another kind of processor.

    This machine's compiler links nothing for those. The objects are packed, and TVM links them
    where it loads them.
    """
    return ".so" if processor_of(target) == platform.machine() else ".tar"


def processor_of(target: Target) -> str:
    """The kind of processor that a target is for, such as ``x86_64`` or ``aarch64``."""
    triple = (target.host or target).option("mtriple") or platform.machine()
    return str(triple.partition("-")[0])


def export(module: str, trace: str, target: Target, path: Path) -> list[tuple[list[int], str]]:
    """Compile a program to a library (`suffix_of`); returns shape and type of its arguments."""
    tvm = import_tvm(target)
    made = nan_kept(with_laid_out_weights(program_of(module, trace, target)))
    tvm.tirx.build(made, tvm_target(target)).export_library(str(path))
    infos = tvm.s_tir.meta_schedule.arg_info.ArgInfo.from_prim_func(made["main"])
    return [([int(d) for d in info.shape], str(info.dtype)) for info in infos]


def write_database(
    folder: Path, target: Target, tasks: Sequence[tuple[str, Sequence[tuple[str, float]]]]
) -> None:
    """Write MetaSchedule's JSON database, in the place of what is in `folder`.

    Args:
        folder: for ``ms.database.JSONDatabase(work_dir=folder)``.
        target: of the programs.
        tasks: of each, TVM's JSON of its module, and ``(trace, seconds)`` of programs.
    """
    import_tvm(target)
    from tvm.s_tir import meta_schedule as ms

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    database = ms.database.JSONDatabase(work_dir=str(folder))
    for module, programs in tasks:
        made = [(schedule(module, trace), seconds) for trace, seconds in programs]
        for each, seconds in made:
            workload = database.commit_workload(schedule(module, "").mod)
            arguments = ms.arg_info.ArgInfo.from_entry_func(workload.mod, remove_preproc=True)
            database.commit_tuning_record(
                ms.database.TuningRecord(
                    each.trace, workload, [seconds], tvm_target(target), arguments
                )
            )


@functools.lru_cache(maxsize=2)
def _reference(module: str, target: Target) -> tuple[Any, NDArray[Any]]:
    tvm = import_tvm(target)
    infos = tvm.s_tir.meta_schedule.arg_info.ArgInfo.from_prim_func(
        schedule(module, "").mod["main"]
    )
    arguments = [([int(d) for d in info.shape], str(info.dtype)) for info in infos]
    return arguments, _outputs(module, "", target, arguments)


def _outputs(module: str, trace: str, target: Target, arguments: Any) -> NDArray[Any]:
    """What a program computes, the layout of weights included, which a measurement leaves out."""
    tvm = import_tvm(target)
    device = tvm.device(device_of(target))
    tensors = [tvm.runtime.tensor(each, device) for each in random_arrays(arguments)]
    tvm.tirx.build(program_of(module, trace, target), tvm_target(target))["main"](*tensors)
    return tensors[-1].numpy()  # type: ignore[no-any-return]


def random_arrays(arguments: Sequence[tuple[Sequence[int], str]]) -> list[NDArray[Any]]:
    """Arguments of a program: random inputs, and zeros for the output, which is the last."""
    rng = np.random.default_rng(0)
    arrays = []
    for shape, dtype in arguments[:-1]:
        floats = rng.normal(size=shape)
        arrays.append((floats if "float" in dtype else rng.integers(0, 2, shape)).astype(dtype))
    shape, dtype = arguments[-1]
    return [*arrays, np.zeros(shape, dtype)]
