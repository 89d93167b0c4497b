"""Settings from the command line: ``--measure``, ``--search`` and ``--deploy`` with KEY=VALUE."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import click

from balto.arguments import decimal_number, whole_number
from balto.cli.options import NAME
from balto.errors import InputError

if TYPE_CHECKING:
    from balto.data.target import Target
    from balto.measure.measurer import Measurer
    from balto.workers.executor import Executor

F = TypeVar("F", bound=Callable[..., Any])

#: Of what a person sets, by the option's name: where the settings are.
GROUPS = {
    "measure": ("balto.measure.settings:MeasureSettings", "balto.measure.timing:TimingSettings"),
    "rpc": ("balto.measure.rpc:RpcSettings",),
    "search": ("balto.search.task:SearchSettings",),
    "deploy": ("balto.deploy.settings:DeploySettings",),
}
#: Endings that a person may leave out: seconds and bytes.
_UNITS = ("_s", "_bytes")


@dataclass(frozen=True)
class Setting:
    """One value that can be set.

    Attributes:
        name: of the field.
        kind: its type: int, float, bool or str.
        default: its value where nothing is said.
        meaning: what the docstring says of it.
        owner: the class of settings that has it.
    """

    name: str
    kind: type
    default: Any
    meaning: str
    owner: type


def option_of(group: str) -> str:
    """The option that sets values of a group; ``--rpc`` itself names the tracker."""
    return "--rpc-setting" if group == "rpc" else f"--{group}"


def settings_of(group: str) -> dict[str, Setting]:
    """What the option ``--GROUP`` can set, by name."""
    from importlib import import_module

    found: dict[str, Setting] = {}
    for place in GROUPS[group]:
        module, _, name = place.partition(":")
        owner = getattr(import_module(module), name)
        hints, meanings = get_type_hints(owner), _meanings(owner.__doc__ or "")
        for each in fields(owner):
            if hints[each.name] in (int, float, bool, str):
                kind = hints[each.name]
                meaning = meanings.get(each.name, "")
                found[each.name] = Setting(each.name, kind, _default(each), meaning, owner)
    return found


def parse(group: str, texts: Sequence[str]) -> dict[type, dict[str, Any]]:
    """The values of ``KEY=VALUE,KEY=VALUE`` texts, by the class of settings that takes them.

    Args:
        group: of `GROUPS`.
        texts: each with one or more pairs; the last one of a key counts.

    Raises:
        InputError: If a pair has no ``=``, its key is no setting, or its value is of another type.
    """
    known, option = settings_of(group), option_of(group)
    values: dict[type, dict[str, Any]] = {}
    for pair in (pair for text in texts for pair in text.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise InputError(f"expected {option} KEY=VALUE, got {pair!r}; see balto settings")
        name = next((key + unit for unit in ("", *_UNITS) if key + unit in known), None)
        if name is None:
            raise InputError(f"{option} has no {key!r}; expected one of {', '.join(known)}")
        setting = known[name]
        values.setdefault(setting.owner, {})[name] = _value(setting, value)
    return values


def make(group: str, texts: Sequence[str]) -> Any:
    """The settings of a group of one class; None where nothing was said.

    Raises:
        InputError: As `parse`, or if the values do not go together.
    """
    values = parse(group, texts)
    [owner] = {each.owner for each in settings_of(group).values()}
    return owner(**values[owner]) if values else None


def measurer(
    target: Target,
    rpc: str | None,
    leave_out: Sequence[str],
    texts: Mapping[str, Sequence[str]],
    workers: int = 0,
    executor: Executor | None = None,
) -> Measurer:
    """What measures on this machine, or on the devices of a tracker.

    Args:
        target: of the programs.
        rpc: ``HOST:PORT/KEY`` of the tracker; None for this machine.
        leave_out: devices of the tracker not to time on.
        texts: what the options ``measure`` and ``rpc-setting`` say, by the group.
        workers: programs under way at once, unless ``texts`` says so too.
        executor: builds programs; None for this machine's processes.

    Raises:
        InputError: As `parse`, or if there is no such tracker, target or value.
    """
    from balto.measure.live import LiveMeasurer
    from balto.measure.settings import MeasureSettings
    from balto.measure.timing import TimingSettings

    said = parse("measure", texts["measure"])
    timing = TimingSettings(**said.get(TimingSettings, {}))
    settings = MeasureSettings(
        **{"workers": workers, **said.get(MeasureSettings, {})}, timing=timing
    )
    if not rpc:
        if leave_out or texts["rpc"]:
            raise click.UsageError("--leave-out-device and --rpc-setting need --rpc")
        return LiveMeasurer.for_target(target, settings, executor)
    from balto.measure.remote import Tracker
    from balto.measure.rpc import RpcMeasurer, RpcSettings

    fleet = RpcSettings(
        tracker=Tracker.parse(rpc),
        measure=settings,
        leave_out=frozenset(leave_out),
        **parse("rpc", texts["rpc"]).get(RpcSettings, {}),
    )
    return RpcMeasurer.for_target(target, fleet, executor)


def measurer_options(function: F) -> F:
    """``--rpc``, ``--leave-out-device``, ``--measure`` and ``--rpc-setting``."""
    options = (
        click.option(
            "--rpc",
            type=NAME,
            metavar="HOST:PORT/KEY",
            help="Measure on the devices of a TVM tracker.",
        ),
        click.option(
            "--leave-out-device",
            "leave_out",
            multiple=True,
            type=NAME,
            metavar="HOST:PORT",
            help="Do not time on this device of the tracker; may be repeated.",
        ),
        setting_option("measure", "How programs are built and timed"),
        setting_option("rpc", "How devices of the tracker are reached"),
    )
    for option in reversed(options):
        function = option(function)
    return function


def setting_option(group: str, about: str) -> Callable[[F], F]:
    """An option that sets values of a group, such as ``--measure build_timeout=60``."""
    return click.option(
        option_of(group),
        f"{group}_settings",
        multiple=True,
        metavar="KEY=VALUE,...",
        help=f"{about}; balto settings lists the keys.",
    )


def _value(setting: Setting, text: str) -> Any:
    """A value of the setting's type.

    Raises:
        InputError: If the text says no such value.
    """
    expected = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}
    try:
        if setting.kind is bool:
            return {"yes": True, "true": True, "no": False, "false": False}[text.lower()]
        if setting.kind is int:
            return whole_number(text)
        return decimal_number(text) if setting.kind is float else text
    except (KeyError, ValueError) as error:
        raise InputError(
            f"expected {setting.name} to be {expected[setting.kind]}, got {text!r}"
        ) from error


def _default(each: Field[Any]) -> Any:
    return None if each.default is MISSING else each.default


def _meanings(docstring: str) -> dict[str, str]:
    """What a docstring's ``Attributes:`` say, by name."""

    def entries() -> Iterator[tuple[str, str]]:
        block = re.search(r"^ +Attributes:\n(.*?)(?=^ +[A-Z]\w+:\n|\Z)", docstring, re.S | re.M)
        for entry in re.split(r"^ {8}(?=\w)", block.group(1) if block else "", flags=re.M):
            name, _, text = entry.partition(":")
            yield name.strip(), " ".join(text.split())

    return dict(entries())
