"""``tasks.json`` of campaigns and tunings: tasks with their modules, and a checksum."""

from __future__ import annotations

from pathlib import Path

from balto.data.files import read_json, reading, write_json
from balto.data.task import Task
from balto.errors import CampaignError, InputError
from balto.tasks.extract import Extracted

_ANEW = "delete it and run balto pretrain again: the tasks are then made anew, nothing is lost"


def write_tasks(path: Path, found: Extracted) -> None:
    """Write the tasks, and what could not become one, with a checksum."""
    rows = [task.to_dict() for task in found.tasks]
    write_json(path, {"tasks": rows, "left_out": found.left_out, "notes": found.notes})


def read_tasks(path: Path, advice: str = _ANEW) -> Extracted:
    """The inverse of `write_tasks`; of what an older balto wrote there are no notes.

    Args:
        path: of the file.
        advice: what to do where it is damaged.

    Raises:
        CampaignError: If the file is not there, or is damaged.
    """
    with reading(path, CampaignError, advice):
        content = read_json(path)
        try:
            tasks = [Task.from_dict(row) for row in content["tasks"]]
        except InputError as error:
            raise CampaignError(f"{path} is damaged: {error}; {advice}") from error
        left_out = [(name, reason) for name, reason in content["left_out"]]
        return Extracted(tasks, left_out, content.get("notes", []))
