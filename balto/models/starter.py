"""The model that ships with balto: what it learnt elsewhere, as a start on a new device.

``balto pretrain`` starts from it unless told ``--from none``; `experiments/starter.py` makes it
from recorded pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balto.errors import InputError

#: What stands for the shipped model where a model file is asked for.
NAME = "starter"
#: The file of the shipped model.
PATH = Path(__file__).parent / "starter.balto"
#: What stands for no model.
NONE = "none"


def model_path(spec: str) -> str:
    """The path of a model file; ``starter`` is the one that ships with balto."""
    return str(PATH) if spec == NAME else spec


def sources(specs: Sequence[str]) -> tuple[str, ...]:
    """Model files to learn from, as a person names them: ``none`` alone is none.

    Raises:
        InputError: ``none`` beside others.
    """
    if NONE not in specs:
        return tuple(specs)
    if len(specs) > 1:
        raise InputError(f"expected {NONE} or models to learn from, got {', '.join(specs)}")
    return ()
