"""The model that ships with balto: what it learnt elsewhere, as a start on a new device.

``balto pretrain --from starter``; `experiments/starter.py` makes it from recorded pools.
"""

from __future__ import annotations

from pathlib import Path

#: What stands for the shipped model where a model file is asked for.
NAME = "starter"
#: The file of the shipped model.
PATH = Path(__file__).parent / "starter.balto"


def model_path(spec: str) -> str:
    """The path of a model file; ``starter`` is the one that ships with balto."""
    return str(PATH) if spec == NAME else spec
