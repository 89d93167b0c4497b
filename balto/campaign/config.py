"""What a campaign was asked to do, and how it differs from what it is asked now."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from balto.arguments import MOST_PROGRAMS, check_field, text, texts
from balto.data.files import read_json, reading, sha256, write_json
from balto.data.pool_schema import POOL_FILES
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import CampaignError, ConfigurationChanged, InputError
from balto.learn.settings import LoopSettings
from balto.models import MODELS, create, starter
from balto.models.base import CostModel
from balto.registry import Registry, spec_of
from balto.select import SELECTORS
from balto.select.base import Selector
from balto.tasks.shapes import checked
from balto.text import one_line


@dataclass(frozen=True, kw_only=True)
class Config(LoopSettings):
    """The settings that decide what a campaign selects and trains.

    How it measures (workers, timeouts, where) is not among them: that may change when it resumes.

    Attributes:
        networks: names of networks, or paths of model files.
        operators: operators with shapes.
        tasks: tasks of your own, as `balto.task_of` makes them.
        shapes: sizes of dimensions that the networks' files leave open, by the dimension's or the
            input's name, as `balto.extract_tasks` takes them.
        target: TVM target, as asked for: an object, or ``llvm``, ``cuda`` or its JSON; kept
            as text, the same for targets that are equal.
        device: name of the device; None for this machine.
        programs: M, random programs sampled a task.
        pool: path of a recorded pool to replay in the place of all the above; None if live.
        selector: an object, or a name with hyper-parameters, ``balto:C=0.5``.
        model: the same for the cost model; a name gets `seed`.
        start_from: paths of models to learn from too, or ``starter`` for the one that ships with
            balto; the first is asked in round 1. ``none`` or empty for none. By default the
            starter for a live campaign on a CPU, the kind of device that it was trained on, and
            none for a recorded pool, on which selectors and models are compared.
        compare: a second selector, run at the same budget for comparison; None for none.
        digests: SHA-256 of the files named above, filled in by `resolve`.

    Raises:
        InputError: If a value is out of its range, there is no such selector or model, or a task of
            one's own is for another target.
    """

    networks: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    shapes: Mapping[str, Any] = field(default_factory=dict)
    target: str | Target = "llvm"
    device: str | None = None
    programs: int = 256
    pool: str | None = None
    selector: str | Selector = "biased-lcmd"
    model: str | CostModel = "xgb"
    start_from: tuple[str, ...] | None = None
    compare: str | Selector | None = None
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("device", "pool"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, text(name, getattr(self, name)))
        object.__setattr__(self, "target", Target.of(self.target).to_spec())
        if self.start_from is None:
            live_on_cpu = not self.pool and Target.of(self.target).on_cpu
            object.__setattr__(self, "start_from", (starter.NAME,) if live_on_cpu else ())
        object.__setattr__(self, "shapes", checked(self.shapes))
        for name in ("networks", "operators", "start_from"):
            object.__setattr__(self, name, texts(name, getattr(self, name)))
        object.__setattr__(self, "start_from", starter.starting_models(self.starting_models))
        object.__setattr__(self, "tasks", tuple(_task(each) for each in self.tasks))
        named = self.networks or self.operators or self.tasks
        if not (named or self.pool):
            raise InputError("expected at least one network, operator, task or pool, got none")
        if self.pool and named:
            raise InputError(
                "expected either networks, operators and tasks, or a recorded pool; got both"
            )
        check_field(self, "programs", 2, MOST_PROGRAMS, whole=True)
        self._refuse_other_targets()
        self._refuse_what_is_no_part()
        if self.compare is not None and self.compare_spec == self.selector_spec:
            raise InputError(f"expected another selector than {self.selector_spec} to compare with")

    def _refuse_other_targets(self) -> None:
        """Tasks that are given have their own target; the measurer is opened for the campaign's."""
        target = Target.of(self.target)
        for task in self.tasks:
            if (task.target.kind, task.target.cores or 1) != (target.kind, target.cores or 1):
                raise InputError(
                    f"expected tasks for the campaign's target, {target}; {task.name} is for "
                    f"{task.target}"
                )

    def _refuse_what_is_no_part(self) -> None:
        """A name is looked up when it is used: it may be a plug-in's that is not installed here."""
        compare = self.selector if self.compare is None else self.compare
        for selector in (self.selector, compare):
            if not isinstance(selector, str):
                SELECTORS.of(selector)
        if not isinstance(self.model, str):
            MODELS.of(self.model)

    @property
    def selector_spec(self) -> str:
        """The selector's name and hyper-parameters, as the journal has it."""
        return _spec(self.selector, SELECTORS)

    @property
    def compare_spec(self) -> str | None:
        """The same of the second selector; None for none."""
        return None if self.compare is None else _spec(self.compare, SELECTORS)

    @property
    def model_spec(self) -> str:
        """The cost model's name and hyper-parameters."""
        return _spec(self.model, MODELS)

    @property
    def starting_models(self) -> tuple[str, ...]:
        """The models of `start_from`, whether given or by default; empty for none."""
        return self.start_from or ()

    def new_model(self) -> CostModel:
        """An untrained model of this campaign's kind.

        Returns:
            One of its own, with the campaign's seed.
        """
        return copy.deepcopy(create(self.model, self.seed))

    def resolve(self) -> Config:
        """With absolute paths and digests of the files it names.

        Returns:
            A copy.

        Raises:
            InputError: If a file that is named is not there.
        """
        networks, files = [], []
        for spec in self.networks:
            is_file = Path(spec).suffix != "" and Path(spec).is_file()
            networks.append(_absolute(spec) if is_file else spec)
            files += [networks[-1]] if is_file else []
        pool = self.pool and _absolute(self.pool)
        start_from = tuple(_absolute(starter.model_path(spec)) for spec in self.starting_models)
        files += start_from
        files += [str(Path(pool) / name) for name in POOL_FILES] if pool else []
        digests = {}
        for path in files:
            with reading(path, InputError):
                digests[path] = sha256(path)
        return replace(
            self, networks=tuple(networks), pool=pool, start_from=start_from, digests=digests
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; without shapes where there are none, as it was before there were any.

        Returns:
            Every setting by its name.
        """
        values = {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "networks": list(self.networks),
            "operators": list(self.operators),
            "tasks": [task.to_dict() for task in self.tasks],
            "start_from": list(self.starting_models),
            "selector": self.selector_spec,
            "model": self.model_spec,
            "compare": self.compare_spec,
        }
        return values if self.shapes else {k: v for k, v in values.items() if k != "shapes"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The inverse of `to_dict`.

        Args:
            values: as `to_dict` gives them; what is missing has its default.

        Returns:
            The settings.

        Raises:
            InputError: If a value is out of its range.
            TypeError: If there is a key that is no setting.
        """
        named = {n: values[n] or None for n in ("device", "pool") if n in values}  # empty once
        made = cls(**{**values, **named})
        if not isinstance(made.digests, dict):
            raise InputError(f"expected digests by path, got {one_line(made.digests)}")
        return made

    def save(self, path: Path) -> None:
        """Write atomically, with a checksum.

        Args:
            path: of the file, which is replaced.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read what `save` wrote.

        Args:
            path: of the file.

        Returns:
            The settings.

        Raises:
            CampaignError: If the file is not a configuration, or is damaged.
        """
        advice = "repeat the balto pretrain command without it: nothing is lost"
        with reading(path, CampaignError, advice):
            return cls.from_dict(read_json(path))

    def check_same(self, asked: Config) -> None:
        """Refuse to go on with other settings; a file may have moved, if it is the same.

        Args:
            asked: the settings of now.

        Raises:
            ConfigurationChanged: If one differs; the message has every difference.
        """
        before, now = self._content(), asked._content()
        differences = [
            f"{key}: {_short(before[key])} before, {_short(now[key])} now"
            for key in before
            if before[key] != now[key]
        ]
        if differences:
            raise ConfigurationChanged(
                "this campaign was started with other settings ("
                + "; ".join(differences)
                + "): repeat those, or use another WORK_DIR"
            )

    def _content(self) -> dict[str, Any]:
        """The settings, each file by what is in it."""

        def of(path: str | None) -> Any:
            if path is None:
                return None
            inside = {
                p: d for p, d in self.digests.items() if p == path or Path(p).parent == Path(path)
            }
            return {Path(p).name: d for p, d in inside.items()} or path

        values = {**self.to_dict(), "shapes": self.shapes}
        del values["digests"]
        values["tasks"] = [f"{t.name} {crc32((t.module or '').encode()):08x}" for t in self.tasks]
        values["pool"] = of(self.pool)
        values["start_from"] = [_only(of(path)) for path in self.starting_models]
        values["networks"] = [_only(of(spec)) for spec in self.networks]
        return values


def _task(given: object) -> Task:
    """A task with its module, from an object or a row of JSON.

    Raises:
        InputError: If it is neither, or has no module.
    """
    try:
        task = Task.from_dict(given) if isinstance(given, Mapping) else given
    except (TypeError, KeyError) as error:
        raise InputError(f"expected a task, got {one_line(given)}") from error
    if not isinstance(task, Task):
        raise InputError(f"expected a task, as balto.task_of makes it, got {one_line(given)}")
    task.require_module()
    return task


def _only(content: Any) -> Any:
    """A file's digest without its name, which may change too."""
    return f"a file {next(iter(content.values()))[:16]}" if isinstance(content, dict) else content


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {digest[:8]}" for name, digest in value.items()) or "none"
    return one_line(json.dumps(value))


def _spec(given: str | Selector | CostModel, registry: Registry[Any]) -> str:
    """In one form, whichever way it was given; a name that is not known here stays as it is."""
    if isinstance(given, str):
        if given.partition(":")[0] not in registry:
            return given
        made = registry.create(given)
        return spec_of(made.name, made.parameters())
    return spec_of(given.name, given.parameters())


def _absolute(path: str) -> str:
    with reading(path, InputError):
        return str(Path(path).resolve())
