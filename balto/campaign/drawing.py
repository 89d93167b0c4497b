"""Draw the programs of a campaign's tasks, and measure the held-out ones meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from balto.campaign.folder import Drawn, WorkFolder
from balto.campaign.listener import Listener
from balto.campaign.records import TASKS, Kind
from balto.campaign.sampling import draw_programs
from balto.data.features import drawn_sets
from balto.data.target import Target
from balto.data.task import Task
from balto.learn.split import Split
from balto.learn.store import measure_missing
from balto.measure.measurer import Measurer
from balto.tasks import extract_tasks
from balto.tasks.extract import Extracted
from balto.tasks.files import write_tasks
from balto.workers.executor import Executor
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker


def draw(
    folder: WorkFolder, measurer: Measurer, listener: Listener, executor: Executor | None
) -> list[Drawn]:
    """Draw all programs; meanwhile measure the held-out ones of the tasks that are drawn.

    Args:
        folder: whose tasks they are.
        measurer: measures.
        listener: is told what happens.
        executor: draws; None for worker processes of this machine.

    Returns:
        The tasks that have programs, in order, and their files.
    """
    cpus = measurer.free_cpus
    workers = [Worker(cpus=cpus) for _ in cpus]
    workers[0].start()
    config = folder.config
    with LocalExecutor(workers) as local:
        _extract(folder, workers[0])
        tasks = folder.read_tasks(listener)
        for k in _drawn(folder, tasks, executor or local, listener):
            pool = folder.pool([(tasks[k], folder.programs_path(k))])
            listener.sampled(tasks[k].name, len(pool))
            (held_out,) = Split.of(pool, config.test_share, config.seed).test
            measure_missing(pool, {0: held_out.tolist()}, folder.store(listener), measurer)
    return folder.drawn(tasks)


def _extract(folder: WorkFolder, worker: Worker) -> None:
    """Make the tasks, once."""
    path, config = folder.path / TASKS, folder.config
    if path.exists():
        return
    found = Extracted([])
    if config.networks or config.operators:
        wanted = Target.of(config.target)
        found = extract_tasks(
            *(config.networks, config.operators, wanted, config.device, worker),
            shapes=config.shapes,
        )
    found = found.and_own(config.tasks)
    folder.begin()
    write_tasks(path, found)


def _drawn(
    folder: WorkFolder, tasks: Mapping[int, Task], executor: Executor, listener: Listener
) -> Iterator[int]:
    """Yield each task's index when its programs are on disk; at once if they are already."""
    facts, config = folder.facts, folder.config
    missing = {}
    for k, task in tasks.items():
        if task.name in facts.left_out:
            listener.left_out(task.name, facts.left_out[task.name])
        elif task.name in facts.programs and folder.programs_path(k).exists():
            yield k
        else:
            missing[k] = task
    paths = {k: folder.programs_path(k) for k in missing}
    sets = drawn_sets(config.new_model().feature_sets)
    how = (config.programs, config.seed, executor, sets, listener.drawing)
    for k, drawn in draw_programs(missing, paths, *how):
        if isinstance(drawn, str):
            facts.note({"kind": Kind.LEFT_OUT, "task": tasks[k].name, "reason": drawn})
            listener.left_out(tasks[k].name, drawn)
        else:
            folder.note_programs(tasks[k].name, drawn)
            yield k
