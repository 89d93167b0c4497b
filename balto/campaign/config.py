"""What a campaign was asked to do, and how it differs from what it is asked now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from balto.errors import CampaignError, ConfigurationChanged, InputError
from balto.learn.loop import LoopSettings
from balto.pool.files import write_atomically


@dataclass(frozen=True)
class Config:
    """The settings that decide what a campaign selects and trains.

    How it measures (workers, timeouts, where) is not among them: that may change when it resumes.

    Attributes:
        networks: names of networks, or paths of model files.
        operators: operators with shapes.
        target: TVM target, as asked for.
        device: name of the device; empty for this machine.
        programs: M, random programs sampled a task.
        pool: path of a recorded pool to replay in the place of all the above; empty if live.
        selector: a selector's name.
        model: a cost model's name.
        start_from: path of a model to warm-start from; empty for none.
        compare: a second selector, run at the same budget for comparison; empty for none.
        budget: share of the selectable programs to measure, in (0, 1].
        rounds: T.
        test_share: share of each task's programs that is measured and held out.
        seed: fixes every choice that is not a measurement.
        digests: SHA-256 of the files named above, filled in by `resolve`.
    """

    networks: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    target: str = "llvm"
    device: str = ""
    programs: int = 256
    pool: str = ""
    selector: str = "balto"
    model: str = "xgb"
    start_from: str = ""
    compare: str = ""
    budget: float = 0.05
    rounds: int = 15
    test_share: float = 0.1
    seed: int = 0
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.networks or self.operators or self.pool):
            raise InputError("expected at least one network, operator or pool, got none")
        if self.pool and (self.networks or self.operators):
            raise InputError("expected either networks and operators, or a recorded pool; got both")
        if self.programs < 2:
            raise InputError(f"expected at least 2 programs a task, got {self.programs}")
        if not 0 < self.budget <= 1:
            raise InputError(
                f"expected a budget above 0 % and at most 100 %, got {self.budget:.0%}"
            )
        if not 0 <= self.test_share < 1:
            raise InputError(
                f"expected a test share from 0 % to under 100 %, got {self.test_share}"
            )
        if self.rounds < 1:
            raise InputError(f"expected at least 1 round, got {self.rounds}")
        if self.compare == self.selector:
            raise InputError(f"expected another selector than {self.selector} to compare with")

    @property
    def loop(self) -> LoopSettings:
        """The settings of the loop."""
        return LoopSettings(self.budget, self.rounds, self.test_share, self.seed)

    def resolve(self) -> Config:
        """With absolute paths and digests of the files it names.

        Raises:
            InputError: a file is not there.
        """
        paths = [self.start_from] if self.start_from else []
        networks = []
        for spec in self.networks:
            is_file = Path(spec).suffix != "" and Path(spec).is_file()
            networks.append(str(Path(spec).resolve()) if is_file else spec)
            paths += [networks[-1]] if is_file else []
        if self.pool:
            paths += [str(Path(self.pool) / name) for name in ("tasks.parquet", "programs.parquet")]
        changed = {
            "networks": tuple(networks),
            "pool": str(Path(self.pool).resolve()) if self.pool else "",
            "digests": {path: _digest(path) for path in paths},
        }
        return Config(**{**{f.name: getattr(self, f.name) for f in fields(self)}, **changed})

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "networks": list(self.networks), "operators": list(self.operators)}

    def save(self, path: Path) -> None:
        """Write atomically."""
        with write_atomically(path) as partial:
            partial.write_text(json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read what `save` wrote.

        Raises:
            CampaignError: the file is not a configuration.
        """
        try:
            values = json.loads(path.read_text())
            sequences = {k: tuple(values[k]) for k in ("networks", "operators")}
            return cls(**{**values, **sequences})
        except (ValueError, TypeError, KeyError) as error:
            raise CampaignError(f"{path} is not a campaign's configuration: {error}") from error

    def check_same(self, asked: Config) -> None:
        """Refuse to go on with other settings.

        Raises:
            ConfigurationChanged: with every difference.
        """
        before, now = self.to_dict(), asked.to_dict()
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


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{Path(k).name} {v[:8]}" for k, v in value.items()) or "none"
    return json.dumps(value)


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
