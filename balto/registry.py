"""Selectors and cost models by name, with hyper-parameters: ``balto:C=0.5,tau=2``.

The built-in ones are imported when asked for; other people's come from entry points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from balto.errors import InputError
from balto.text import quoted

T = TypeVar("T")


class Registry(Mapping[str, type[T]], Generic[T]):
    """Name to class.

    Args:
        base: the class of all of them.
        kind: what is registered, for messages.
        builtin: where each class is, ``package.module:Class`` by name.
        group: of the entry points through which others add theirs.
        extra: what to install where a library is missing, by the library's name.
    """

    def __init__(
        self,
        base: type[T],
        kind: str,
        builtin: Mapping[str, str],
        group: str,
        extra: Mapping[str, str],
    ) -> None:
        self.base, self.kind = base, kind
        self._builtin, self._group, self._extra = dict(builtin), group, extra

    def __iter__(self) -> Iterator[str]:
        yield from self._builtin
        yield from (p.name for p in self._others() if p.name not in self._builtin)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or any(p.name == name for p in self._others())

    def __getitem__(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            InputError: If there is no class of that name, or a library that it needs is not
                installed.
        """
        try:
            if name in self._builtin:
                module, _, attribute = self._builtin[name].partition(":")
                found: type[T] = getattr(import_module(module), attribute)
                return found
            for point in self._others():
                if point.name == name:
                    return point.load()  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "balto":
                raise
            advice = self._extra.get(error.name, error.name)
            raise InputError(
                f"the {self.kind} {name} needs {error.name}: pip install '{advice}'"
            ) from error
        raise InputError(f"expected a {self.kind} ({', '.join(self)}), got {name[:80]!r}")

    def of(self, given: object, **defaults: Any) -> T:
        """An object as it is; a new one from a text, as `create` makes it.

        Raises:
            InputError: If `given` is neither an object of the class nor a text, or `create` refuses
                it.
        """
        if isinstance(given, self.base):
            return given
        if isinstance(given, str):
            return self.create(given, **defaults)
        raise InputError(
            f"expected a {self.kind}: an object, or a name ({', '.join(self)}); got {quoted(given)}"
        )

    def create(self, spec: str, **defaults: Any) -> T:
        """A new one from its name and hyper-parameters, ``name:key=value,key=value``.

        Args:
            spec: values are JSON; what is not JSON is text.
            defaults: hyper-parameters that `spec` may override.

        Raises:
            InputError: If there is no such name or hyper-parameter, or a value is refused.
        """
        name, _, rest = spec.partition(":")
        cls = self[name]
        given = dict(_pairs(self.kind, spec, rest))
        try:
            return cls(**{**defaults, **given})
        except (TypeError, ValueError) as error:
            raise InputError(f"the {self.kind} {spec[:200]} is refused: {error}") from error

    def _others(self) -> Iterator[Any]:
        yield from entry_points(group=self._group)


def spec_of(name: str, parameters: Mapping[str, Any]) -> str:
    """The inverse of `Registry.create`: a name with its hyper-parameters."""
    parts = (f"{key}={json.dumps(value)}" for key, value in parameters.items())
    return ":".join(filter(None, [name, ",".join(parts)]))


def _pairs(kind: str, spec: str, rest: str) -> Iterator[tuple[str, Any]]:
    """The hyper-parameters after the colon; commas inside JSON separate nothing."""
    while rest := rest.lstrip(" ,"):
        key, equals, rest = rest.partition("=")
        if not (equals and key.strip().isidentifier()):
            raise InputError(
                f"expected a {kind} such as name or name:key=value,key=value, got {spec[:200]!r}"
            )
        text, _, after = rest.partition(",")
        value: Any = text.strip()
        try:
            found, end = json.JSONDecoder().raw_decode(rest := rest.lstrip())
        except json.JSONDecodeError:
            rest = after
        else:
            ends = rest[end:].lstrip()[:1] in ("", ",")
            value, rest = (found, rest[end:]) if ends else (value, after)
        yield key.strip(), value
