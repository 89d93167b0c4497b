"""The TVM target that a task is compiled for: one type, from the command line to the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from balto.arguments import check_type
from balto.errors import InputError
from balto.text import quoted

#: What ``--target`` takes in the place of JSON.
KINDS = ("llvm", "cuda")
#: The kinds that run on a CPU.
CPU_KINDS = ("llvm", "c")

_NAMED = ("kind", "num-cores", "mcpu", "host")
_EXAMPLE = '{"kind": "llvm", "mcpu": "znver3", "num-cores": 1}'


def _check_options(options: object) -> None:
    """Refuse what is not ``(name, JSON of the value)`` each: `Target.to_dict` reads them."""
    if not isinstance(options, tuple) or not all(map(_is_option, options)):
        raise InputError(
            "expected options of a target as (name, JSON of the value), as Target.from_dict makes "
            f"them, got {quoted(options)}"
        )


def _is_option(given: Any) -> bool:
    try:
        name, value = given
        json.loads(value)
    except (TypeError, ValueError):
        return False
    return isinstance(name, str)


@dataclass(frozen=True)
class Target:
    """What TVM calls a target: a kind of device and what its compiler must know of it.

    Two targets that say the same are equal, in whatever order they say it. Needs no TVM;
    `balto.tasks.devices.resolve` checks a target against what TVM, LLVM and this machine know.
    GPUs (``cuda``) are young: tried on one.

    Attributes:
        kind: TVM's kind, such as ``llvm`` or ``cuda``.
        cores: how many cores a program may use, TVM's ``num-cores``; None if it does not say.
        mcpu: LLVM's name of the processor; None if it does not say.
        host: the target of the processor that a GPU hangs on; None if it does not say.
        options: everything else that TVM's dictionary holds: ``(name, JSON of the value)``,
            sorted by name.
    """

    kind: str
    cores: int | None = None
    mcpu: str | None = None
    host: Target | None = None
    options: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or not self.kind:
            raise InputError(
                f"expected a target with a kind, such as {_EXAMPLE}; got {quoted(self.kind)}"
            )
        cores = self.cores
        if cores is not None and (type(cores) is not int or cores < 1):
            raise InputError(
                f"num-cores of a target must be a whole number of at least 1, got {quoted(cores)}"
            )
        if self.host is not None:
            check_type("host of a target", self.host, Target, "balto.Target(...)")
        _check_options(self.options)
        if self.mcpu is not None and (not isinstance(self.mcpu, str) or not self.mcpu):
            raise InputError(
                f"mcpu of a target must be a processor's name, got {quoted(self.mcpu)}"
            )

    @classmethod
    def parse(cls, spec: str) -> Target:
        """A target from ``llvm``, ``cuda`` or JSON, as a person writes it.

        Args:
            spec: what a person wrote.

        Returns:
            The target.

        Raises:
            InputError: If `spec` is neither a known kind nor a JSON object with a ``kind``.
        """
        if isinstance(spec, str) and spec in KINDS:
            return cls(spec)
        if not isinstance(spec, str) or not spec.lstrip().startswith("{"):
            known = ", ".join(KINDS)
            raise InputError(
                f"expected a target: {known}, or JSON such as {_EXAMPLE}; got {quoted(spec)}"
            )
        return cls.from_json(spec)

    @classmethod
    def of(cls, given: Target | str) -> Target:
        """A target, given as one or as `parse` takes it.

        Args:
            given: either.

        Returns:
            The target.

        Raises:
            InputError: If `given` is neither a target nor text that `parse` takes.
        """
        return given if isinstance(given, Target) else cls.parse(given)

    @classmethod
    def from_json(cls, text: str) -> Target:
        """A target from its JSON, as it stands in files.

        Args:
            text: of an object.

        Returns:
            The target.

        Raises:
            InputError: If `text` is not a JSON object with a ``kind``, or a value in it is
                impossible.
        """
        try:
            values = json.loads(text)
        except (ValueError, TypeError):
            values = None
        if not isinstance(values, dict):
            raise InputError(f"expected a target as JSON, such as {_EXAMPLE}; got {quoted(text)}")
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Target:
        """A target from TVM's dictionary; its ``host`` may be a dictionary or ``llvm``.

        Args:
            values: with a ``kind`` at least.

        Returns:
            The target.

        Raises:
            InputError: If `values` has no ``kind``, or a value in it is impossible.
        """
        check_type("the target", values, Mapping, f"a dictionary such as {_EXAMPLE}")  # type: ignore[type-abstract]
        host = values.get("host")
        if host is not None:
            host = cls.from_dict(host) if isinstance(host, Mapping) else cls.parse(host)
        rest = {name: value for name, value in values.items() if name not in _NAMED}
        return cls(
            kind=values.get("kind", ""),
            cores=values.get("num-cores"),
            mcpu=None if values.get("mcpu") == "" else values.get("mcpu"),
            host=host,
            options=tuple((name, _json(rest[name])) for name in sorted(rest)),
        )

    def to_dict(self) -> dict[str, Any]:
        """TVM's dictionary.

        Returns:
            For ``tvm.target.Target``.
        """
        values: dict[str, Any] = {"kind": self.kind}
        if self.mcpu is not None:
            values["mcpu"] = self.mcpu
        if self.cores is not None:
            values["num-cores"] = self.cores
        if self.host is not None:
            values["host"] = self.host.to_dict()
        return {**values, **{name: json.loads(value) for name, value in self.options}}

    def to_json(self) -> str:
        """The one JSON of this target: the same for every target that equals it.

        Returns:
            On one line.
        """
        return _json(self.to_dict())

    def to_spec(self) -> str:
        """The inverse of `parse`: ``llvm`` or ``cuda`` if it says no more, its JSON otherwise.

        Returns:
            A text for `parse`.
        """
        return self.kind if self.kind in KINDS and self == Target(self.kind) else self.to_json()

    def option(self, name: str, default: Any = None) -> Any:
        """What TVM's dictionary holds under `name`, such as ``arch`` or ``mtriple``.

        Args:
            name: of the option.
            default: what to give where there is none.

        Returns:
            Its value.
        """
        return self.to_dict().get(name, default)

    @property
    def on_cpu(self) -> bool:
        """Whether its programs run on a CPU."""
        return self.kind in CPU_KINDS

    def __str__(self) -> str:
        return self.to_json()


#: This machine's processor, whichever it is.
LLVM = Target("llvm")


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
