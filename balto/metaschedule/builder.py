"""`Builder`, for ``ms.tune_tir(builder=Builder(), runner=Runner())`` and ``tune_relax``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir.meta_schedule.builder import BuilderInput, BuilderResult, PyBuilder

#: In the folder that stands for an artifact: TVM's JSON of the module, and the target.
MODULE, TARGET = "module.json", "target.json"


@derived_object
class Builder(PyBuilder):  # type: ignore[misc]
    """Leaves the building to `balto.tune.Runner`, whose workers build what they time.

    Building and running in one process needs no linker and no shared library, so what this hands
    to the runner is the program itself. It works with `balto.tune.Runner` and no other.
    """

    def build(self, build_inputs: list[BuilderInput]) -> list[BuilderResult]:
        """Write every program where its runner finds it; MetaSchedule deletes the folders."""
        return [BuilderResult(str(_write(each)), None) for each in build_inputs]


def _write(build_input: Any) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="balto-program-"))
    (folder / MODULE).write_text(tvm.ir.save_json(build_input.mod), encoding="utf-8")
    (folder / TARGET).write_text(str(build_input.target), encoding="utf-8")
    return folder / MODULE
