"""The folder of a tuning: opened for one set of settings, and gone on with for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from balto.data.files import new_folder, reading
from balto.data.task import Task
from balto.errors import BaltoError, CampaignError, ConfigurationChanged
from balto.journal.file import Journal
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.search.records import CONFIG, FOUND, JOURNAL, read_records
from balto.search.task import SearchSettings
from balto.tasks.extract import Extracted
from balto.tasks.files import write_tasks
from balto.text import quoted

#: In the folder: what was tuned, and the model that learnt.
TASKS, MODEL = "tasks.json", "model.balto"
#: What may have changed a setting that nobody typed.
_WHY = {"model": " (checksums of model files; a new balto may ship a new starter)"}


def require_usable(out: Path) -> None:
    """Refuse a folder that holds something else, or whose name TVM cannot write.

    Raises:
        CampaignError: it does, or has such a name.
    """
    try:
        str(out).encode()
    except UnicodeEncodeError as error:
        raise CampaignError(f"expected a folder whose name is UTF-8, got {str(out)!r}") from error
    with reading(out, CampaignError):
        ours = not out.exists() or (out / JOURNAL).exists()
        if not ours and (out.is_file() or any(out.iterdir())):
            raise CampaignError(f"{out} holds something else; give an empty or new folder")


@contextmanager
def opened(
    out: Path, config: Mapping[str, Any], tasks: Sequence[Task]
) -> Iterator[tuple[Journal, list[dict[str, Any]]]]:
    """The folder's journal, and what it holds; `config` is its first record.

    A tuning that is refused before its first trial leaves nothing.

    Raises:
        ConfigurationChanged: the folder was tuned with other settings.
        CampaignError: it is in use, or damaged.
    """
    with new_folder(out), Journal.open(out / JOURNAL) as journal:
        records = read_records(journal.path)
        _check_same(out, config, records)
        if not records:
            write_tasks(out / TASKS, Extracted(list(tasks)))
            journal.append({"kind": CONFIG, **config})
            journal.sync()
        try:
            yield journal, records
        except BaltoError:
            after = read_records(journal.path)
            begun = any(each.get("trace") or each["kind"] == FOUND for each in after)
            if not records and not begun:  # at most the untuned program was measured
                for name in (TASKS, JOURNAL):
                    (out / name).unlink(missing_ok=True)
            raise


def unusual(settings: SearchSettings, measurer: Measurer | str) -> dict[str, Any]:
    """What a journal's first record says of a search that is not the usual one on this machine."""
    usual, found = asdict(SearchSettings()), dict[str, Any]()
    changed = {name: value for name, value in asdict(settings).items() if value != usual[name]}
    changed.pop("check_timeout_s", None)  # how long is waited for something decides nothing
    if changed:
        found["settings"] = changed
    if (name := name_of(measurer)) != "live":
        found["measurer"] = name
    return found


def name_of(measurer: Measurer | str) -> str:
    """What a measurer is called in journals and stores."""
    if isinstance(measurer, LiveMeasurer):
        return "live"
    return measurer if isinstance(measurer, str) else type(measurer).__name__


def _check_same(out: Path, config: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> None:
    before = records[0] if records else config
    for name in [*config, *(name for name in before if name != "kind" and name not in config)]:
        if before.get(name) != config.get(name):
            was, now = (quoted(each.get(name, "not given")) for each in (before, config))
            raise ConfigurationChanged(
                f"{out} was tuned with {name} {was}, now asked with {now}{_WHY.get(name, '')}; "
                "give another folder, or the same settings"
            )
