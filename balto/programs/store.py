"""The feature set ``store``: TVM's ``PerStoreFeature``, 164 columns a buffer store.

The features of Ansor and TenSet, as MetaSchedule computes them today.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.programs.extract import Drawn


def from_drawn(drawn: Drawn) -> Sequence[NDArray[np.float32]]:
    """One ``stores x 164`` array a program."""
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.arg_info import ArgInfo

    arguments = ArgInfo.from_entry_func(drawn.context.mod, remove_preproc=True)
    candidates: list[Any] = [ms.MeasureCandidate(s, arguments) for s in drawn.schedules]
    made = ms.feature_extractor.PerStoreFeature().extract_from(drawn.context, candidates)
    return [rows.numpy() for rows in made]
