"""Programs of a store in a task's own space: the same decisions, with sizes that its loops have."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from balto.search.sketches import Sketch, Sketches, cut

#: A sketch's number and the genes of a program.
Gene = tuple[int, NDArray[np.int64]]


def adapted(sketches: Sketches, traces: Iterable[str]) -> dict[tuple[int, bytes], Gene]:
    """The genes that are nearest to traces; their own, where they are of this task.

    Traces whose instructions are no sketch of the task are left out.

    Returns:
        Each once, in the order of the traces, by the sketch's number and the genes' bytes.
    """
    found = (_adapted(sketches, trace) for trace in traces)
    return {(each[0], each[1].tobytes()): each for each in found if each is not None}


def _adapted(sketches: Sketches, trace: str) -> Gene | None:
    try:
        instructions, decided = cut(trace)
    except (ValueError, TypeError, LookupError):  # of somebody's store: it may say anything
        return None
    number = sketches.number_of(instructions)
    if number is None:
        return None
    sketch = sketches.sketches[number]
    if [place for place, _ in decided] != list(sketch.places):
        return None
    genes = [_nearest(sketch, k, value) for k, (_, value) in enumerate(decided)]
    return (number, np.array(genes, np.int64)) if None not in genes else None


def _nearest(sketch: Sketch, decision: int, value: object) -> int | None:
    """The option of a decision that is nearest to a value; None if it is of another kind.

    Of tiles it is the one whose factors inside the outermost are the nearest, in factors of two:
    how many tiles there are follows from the size of the loop. The first of equally near ones.
    """
    options = sketch.options[decision]
    try:
        wanted = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if wanted.shape != options.shape[1:] or not np.isfinite(wanted).all():
        return None
    if options.ndim == 1:
        return int(np.abs(options - wanted).argmin())
    if (wanted < 1).any():
        return None
    apart = np.abs(np.log2(options) - np.log2(wanted))
    # The outermost factor tells equally near ones apart: of its own task, a trace is found again.
    return int((apart[:, 1:].sum(axis=1) + 1e-6 * apart[:, 0]).argmin())
