"""A hostile week: live campaigns that are killed, stopped, starved and doubled until they are done.

Whatever happens, these must hold: the journal only ever grows, no program is measured twice, no
process is left behind, an end that is not clean is one line, and the model is, byte for byte, that
of a campaign which nobody disturbed and which was given the same outcomes.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.records import MODEL
from balto.campaign.status import status
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.journal.file import read
from balto.measure.measurer import Measurer

#: Long enough to be hit forty times and more, short enough to end.
SETTINGS = {"programs": 48, "budget": 0.5, "rounds": 8, "test_share": 0.2}
OPERATORS = ("matmul:32x32x32", "softmax_mn:32x32", "matmul_relu:32x64x32")

#: Faults that are sent to a campaign, and the exit codes that may come of each; none: it goes on.
FAULTS: dict[str, tuple[int, ...]] = {
    "kill main": (-signal.SIGKILL,),
    "kill all": (-signal.SIGKILL,),
    "kill worker": (),
    "terminate": (143,),
    "interrupt": (130,),
    "stop main": (),
    "stop worker": (),
    "full disk": (2,),
    "file limit": (2,),
    "second process": (),
    "read-only": (-signal.SIGKILL,),
    "other clock": (),
}
KILLS = tuple(name for name in FAULTS if name.startswith("kill"))
#: What must not happen, by the names under which it is reported.
WRONGS = (
    *("tracebacks", "unexpected_ends", "lost", "measured_twice", "orphans"),
    *("other_models", "left_out"),
)
_MOUNTED = ("full disk", "read-only")
_TAG = "BALTO_HOSTILE_WEEK"
#: Seconds after which an end that does not come is a hang.
_HANG_S = 180.0


class Week:
    """Runs campaigns one after the other until so many faults were sent.

    Args:
        folder: empty; each campaign gets a folder in it.
        seed: of when and what.
        kinds: of faults to choose from.
        settings: of the campaigns, by their names in `Config`.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        kinds: Sequence[str] = tuple(FAULTS),
        settings: Mapping[str, float] = SETTINGS,
    ) -> None:
        self.folder, self.settings = folder, settings
        self.rng = random.Random(seed)
        self.kinds, self.not_tried = _possible(kinds, folder)
        self.sent: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.wrong: dict[str, list[str]] = {name: [] for name in WRONGS}
        self.campaigns = 0
        self._tag = uuid.uuid4().hex
        self._whole = b""  # lines of the journal that were seen whole
        self._clock = False

    def run(self, faults: int, seconds: float = math.inf) -> dict[str, Any]:
        """Send so many faults, or for so long; every campaign is brought to its end.

        Returns:
            The report.
        """
        started = time.monotonic()
        self._until = started + seconds
        while self._more(faults):
            work = self.folder / f"w{self.campaigns}"
            with self._disk(work):
                self._campaign(work, faults)
                self._compare(work)
            self.campaigns += 1
        kills = sum(self.sent[name] for name in KILLS)
        return {
            "campaigns": self.campaigns,
            "faults": dict(self.sent),
            "not_tried": self.not_tried,
            "kills": kills,
            "kills_after_round_1": sum(self.late[name] for name in KILLS),
            **{name: len(found) for name, found in self.wrong.items()},
            "what": {name: found[:5] for name, found in self.wrong.items() if found},
            "seconds": round(time.monotonic() - started),
        }

    # One campaign

    def _campaign(self, work: Path, faults: int) -> None:
        self._whole = b""
        while True:
            process = self._start(work)
            while self._more(faults) and self._goes_on(process, work):
                kind = self.rng.choice(self.kinds)
                self.sent[kind] += 1
                self.late[kind] += b'"kind":"round"' in _bytes(work)
                getattr(self, "_" + kind.replace(" ", "_").replace("-", "_"))(process, work)
                if FAULTS[kind]:
                    break
            else:
                kind = "nothing"
            with _released(work):
                self._ended(process, work, FAULTS.get(kind, ()))
            if process.returncode == 0:
                return

    def _more(self, faults: int) -> bool:
        return sum(self.sent.values()) < faults and time.monotonic() < self._until

    def _start(self, work: Path) -> subprocess.Popen[str]:
        before = ["unshare", "--time", "--monotonic", "86400", "--boottime", "86400"]
        return subprocess.Popen(
            [*(before if self._clock else []), *self._command(work)],
            env={**os.environ, _TAG: self._tag},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def _command(self, work: Path) -> list[str]:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self.settings.items()]
        options += [f"--operator={spec}" for spec in OPERATORS]
        command = [sys.executable, "-m", "balto", "pretrain", str(work), "--compare", "random"]
        return [*command, *options, "--seed", str(self.campaigns)]

    def _goes_on(self, process: subprocess.Popen[str], work: Path) -> bool:
        """Wait for some progress, or now and then for some time; False if it ended meanwhile."""
        records = _bytes(work).count(b"\n") + self.rng.randint(1, 8)
        by_time, until = self.rng.random() < 0.2, time.monotonic() + self.rng.uniform(0, 4)
        hang = time.monotonic() + _HANG_S
        while process.poll() is None and time.monotonic() < hang:
            ready = _bytes(work).count(b"\n") >= records
            if (time.monotonic() > until) if by_time else ready:
                time.sleep(self.rng.uniform(0, 0.1))
                return process.poll() is None
            time.sleep(0.005)
        return False

    def _ended(self, process: subprocess.Popen[str], work: Path, expected: tuple[int, ...]) -> None:
        """Wait for the end, and check all that must hold after it."""
        try:
            _, said = process.communicate(timeout=_HANG_S)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
            self.wrong["unexpected_ends"].append(f"hung: {said[-300:]}")
        lines = [line for line in said.splitlines() if line.startswith("balto: error")]
        if "Traceback" in said:
            self.wrong["tracebacks"].append(said[-2000:])
        # What was sent may come after the end.
        if process.returncode not in (0, *expected) or len(lines) != (process.returncode > 0):
            self.wrong["unexpected_ends"].append(f"{process.returncode}: {said[-500:]}")
            if process.returncode not in (0, *expected):
                raise RuntimeError(f"cannot go on: {self.wrong}")
        deadline = time.monotonic() + 5
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            self.wrong["orphans"].append(str(pid))
            os.kill(pid, signal.SIGKILL)
        now = _bytes(work)
        if not now.startswith(self._whole):
            self.wrong["lost"].append(f"{len(self._whole)} bytes before, {len(now)} now")
        self._whole = now[: now.rfind(b"\n") + 1]
        if self._whole:
            counts = Counter(
                (r["task"], r["program"])
                for r in read(work / "journal.jsonl")
                if r["kind"] == "measurement"
            )
            self.wrong["measured_twice"] += [str(p) for p, n in counts.items() if n > 1]

    def _compare(self, work: Path) -> None:
        """Run it again, calmly, in another folder, with the outcomes of this one."""
        facts = status(work).facts
        self.wrong["left_out"] += facts.left_out
        calm = self.folder / f"calm{self.campaigns}"
        config = Config(
            operators=OPERATORS,
            compare="random",
            seed=self.campaigns,
            **self.settings,  # type: ignore[arg-type]
        )
        with Campaign(calm, config) as campaign:
            campaign.run(_Known(facts.outcomes))
            same = campaign.facts.selections == facts.selections
        if not same or (calm / MODEL).read_bytes() != (work / MODEL).read_bytes():
            self.wrong["other_models"].append(f"seed {self.campaigns}")
        shutil.rmtree(calm)

    # Faults: each is a method of its name

    def _processes(self) -> list[int]:
        """Every process of the campaign that runs, this one's children or not."""
        pids = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
        return [pid for pid in pids if self._is(pid)]

    def _is(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return f"{_TAG}={self._tag}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def _worker(self, process: subprocess.Popen[str], number: signal.Signals) -> list[int]:
        workers = [pid for pid in self._processes() if pid != process.pid]
        chosen = [self.rng.choice(workers)] if workers else []
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return chosen

    def _kill_main(self, process: subprocess.Popen[str], work: Path) -> None:
        process.kill()

    def _kill_all(self, process: subprocess.Popen[str], work: Path) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _kill_worker(self, process: subprocess.Popen[str], work: Path) -> None:
        self._worker(process, signal.SIGKILL)

    def _terminate(self, process: subprocess.Popen[str], work: Path) -> None:
        _when_ready(process, signal.SIGTERM)

    def _interrupt(self, process: subprocess.Popen[str], work: Path) -> None:
        _when_ready(process, signal.SIGINT)

    def _stop_main(self, process: subprocess.Popen[str], work: Path) -> None:
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 1.5))
        process.send_signal(signal.SIGCONT)

    def _stop_worker(self, process: subprocess.Popen[str], work: Path) -> None:
        stopped = self._worker(process, signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 1.5))
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _full_disk(self, process: subprocess.Popen[str], work: Path) -> None:
        with contextlib.suppress(OSError), _filler(work).open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()

    def _file_limit(self, process: subprocess.Popen[str], work: Path) -> None:
        size = len(_bytes(work)) + self.rng.randint(0, 500)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))

    def _second_process(self, process: subprocess.Popen[str], work: Path) -> None:
        """It is refused, unless the first has ended meanwhile or has not begun: then it may run.

        A campaign that is finished is let go by a process that still stops its workers.
        """
        if not (work / "journal.jsonl").exists():
            return
        other = subprocess.run(
            ["timeout", "-s", "KILL", "60", *self._command(work)],
            env={**os.environ, _TAG: self._tag},
            capture_output=True,
            text=True,
            check=False,
        )
        harmless = ("is in use by process", "is finished already")
        if not any(said in other.stderr for said in harmless) and process.poll() is None:
            self.wrong["unexpected_ends"].append(f"not refused: {other.stderr[-500:]}")

    def _read_only(self, process: subprocess.Popen[str], work: Path) -> None:
        """Kill it; then a start on a disk that is read-only must say so and change nothing."""
        self._kill_all(process, work)
        process.wait()
        _remount(work, "ro")
        before = _bytes(work)
        try:
            again = self._start(work)
            _, said = again.communicate(timeout=_HANG_S)
        finally:
            _remount(work, "rw")
        lines = [line for line in said.splitlines() if line.startswith("balto: error")]
        if (again.returncode, len(lines)) != (2, 1) or "Traceback" in said:
            self.wrong["unexpected_ends"].append(f"read-only, {again.returncode}: {said[-500:]}")
        if _bytes(work) != before:
            self.wrong["lost"].append("the journal changed on a read-only disk")

    def _other_clock(self, process: subprocess.Popen[str], work: Path) -> None:
        """From the next start on, the monotonic clock is a day ahead, or back."""
        self._clock = not self._clock

    @contextlib.contextmanager
    def _disk(self, work: Path) -> Iterator[None]:
        """A small disk of its own for a campaign, where one can be mounted."""
        if not set(self.kinds) & set(_MOUNTED):
            yield
            return
        work.mkdir()
        _mount(work)
        try:
            yield
        finally:
            subprocess.run(["umount", work], check=True)


class _Known(Measurer):
    """Gives outcomes that another campaign has measured."""

    def __init__(self, outcomes: Any) -> None:
        self._outcomes = outcomes

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        for index, each in enumerate(candidates):
            outcome = self._outcomes.of(each.task.name)[each.program_id]
            assert outcome is not None, "a program was chosen that the other did not choose"
            yield index, outcome


def _bytes(work: Path) -> bytes:
    with contextlib.suppress(OSError):
        return (work / "journal.jsonl").read_bytes()
    return b""


def _when_ready(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal, but not while Python itself starts, before anybody can handle it."""
    handled = f"/proc/{process.pid}/status"
    while process.poll() is None:
        with contextlib.suppress(OSError):
            caught = next(
                line for line in Path(handled).read_text().splitlines() if "SigCgt" in line
            )
            if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
                break
        time.sleep(0.01)
    process.send_signal(number)


def _filler(work: Path) -> Path:
    return work / ".filler"


@contextlib.contextmanager
def _released(work: Path) -> Iterator[None]:
    """After what is done inside, there is room on the disk again."""
    yield
    with contextlib.suppress(OSError):
        _filler(work).unlink(missing_ok=True)


def _mount(folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def _possible(kinds: Sequence[str], folder: Path) -> tuple[list[str], list[str]]:
    """The faults that this user may make here, and those that he may not."""
    missing: set[str] = set()
    try:
        _mount(folder)
        subprocess.run(["umount", folder], check=True)
    except (OSError, subprocess.CalledProcessError):
        missing.update(_MOUNTED)
    try:
        command = ["unshare", "--time", "--monotonic", "1", "true"]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        missing.add("other clock")
    return [k for k in kinds if k not in missing], [k for k in kinds if k in missing]
