"""The model that ships with balto: what it learnt elsewhere, as a start on a new device.

``balto pretrain`` starts from it unless told ``--start-from none``; `experiments/starter.py`
makes it from recorded pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from zlib import crc32

from balto.data.target import Target
from balto.errors import InputError
from balto.models.base import CostModel
from balto.models.file import load

#: What stands for the shipped model where a model file is asked for.
NAME = "starter"
#: The file of the shipped model.
PATH = Path(__file__).parent / "starter.balto"
#: What stands for no model.
NONE = "none"


def model_path(spec: str) -> str:
    """The path of a model file; ``starter`` is the one that ships with balto."""
    return str(PATH) if spec == NAME else spec


def starting_models(specs: Sequence[str]) -> tuple[str, ...]:
    """The model files to learn from; ``none`` alone stands for no model.

    Raises:
        InputError: If ``none`` stands beside others.
    """
    if NONE not in specs:
        return tuple(specs)
    if len(specs) > 1:
        raise InputError(f"expected {NONE} or models to learn from, got {', '.join(specs)}")
    return ()


@dataclass(frozen=True)
class StartingModel:
    """The model that a search starts from.

    Attributes:
        path: of its file; None to start from nothing.
        model: read from the file; None without one.
        trained_on: what the file says that it was trained on.
    """

    path: str | None = None
    model: CostModel | None = None
    trained_on: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: str | Path | None, target: Target) -> Self:
        """Read the model that a person names.

        Args:
            spec: a model file; ``starter`` for the one that ships with balto, which is for CPUs
                and stands for none on other devices; ``none`` or None for none.
            target: what is searched for.

        Raises:
            ModelFileError: If the file is no model.
        """
        if spec is None or str(spec) == NONE or (str(spec) == NAME and not target.on_cpu):
            return cls()
        path = model_path(str(spec))
        return cls(path, *load(path))

    @property
    def checksum(self) -> int | None:
        """CRC-32 of the file's bytes; None where there is no file."""
        return None if self.path is None else crc32(Path(self.path).read_bytes())

    def require_kind(self, target: Target) -> None:
        """Refuse a model of another kind of device: its programs do not even look like these.

        Raises:
            InputError: If the model was trained for no device of the target's kind.
        """
        kinds = {Target.from_json(each).kind for each in self.trained_on.get("targets", [])}
        if kinds and target.kind not in kinds:
            raise InputError(
                f"expected a model of {target.kind} programs, {self.path} was trained on "
                f"{', '.join(sorted(kinds))}; train one with balto pretrain --target {target.kind}"
            )
