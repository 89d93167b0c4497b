"""ALT-style selection: the programs that an ensemble is least sure of.

.. [Zeng2020]
    X. Zeng et al. ALT: optimizing tensor compilation in deep learning compilers with active
    learning. ICCD 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balto.select.base import Selector, TaskState


@dataclass(frozen=True)
class ALT(Selector):
    """Picks the programs whose predictions vary most over the ensemble.

    After [Zeng2020]_, whose model states its own uncertainty; here an ensemble does.
    """

    name: ClassVar[str] = "alt"
    needs_ensemble: ClassVar[bool] = True

    def choose(
        self,
        state: TaskState,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """See the class."""
        members = state.ensemble()
        variance = members.var(axis=0)
        variance[(members == members[0]).all(axis=0)] = 0  # not what the mean's rounding left
        order = np.argsort(-variance[state.unlabelled], kind="stable")
        return state.unlabelled[order[:budget]]
