"""What a tuning measured, as a pool: programs near the best ones, which no campaign draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from balto.data.features import DECISIONS, Features, FeatureTable
from balto.data.files import as_path
from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.deploy.database import DATABASE
from balto.errors import CampaignError
from balto.journal.records import possible_outcome
from balto.programs import decisions
from balto.programs.features import with_all_features
from balto.search.records import JOURNAL, RECALLED, TRIAL, read_records, recalled_in
from balto.tasks.files import read_tasks
from balto.tune.folder import TASKS


def pool_of(folder: str | Path) -> Pool:
    """The trials of a tuning with their outcomes, failures too, in the order of their measurement.

    Their traces are scheduled again for their features; nothing is measured.

    Raises:
        CampaignError: there are no trials, or a file is damaged.
        InputError: TVM cannot make the programs of a task.
    """
    folder = as_path(folder)
    trials: dict[str, dict[str, Outcome]] = {}
    for record in read_records(folder / JOURNAL):
        for name, known in recalled_in(record).items() if record["kind"] == RECALLED else ():
            if known.trials:
                trials[name] = dict(known.trials)
        if record["kind"] == TRIAL and record["trace"]:
            trials.setdefault(record["task"], {})[record["trace"]] = possible_outcome(record)
    if not trials:
        raise CampaignError(f"{folder} has no trials yet; run balto tune again to go on")
    if not (folder / TASKS).exists():
        raise CampaignError(
            f"{folder} was tuned by a balto that did not keep the tasks: balto import metaschedule "
            f"{folder / DATABASE} has those of its trials that worked"
        )
    tasks = [task for task in read_tasks(folder / TASKS).tasks if task.name in trials]
    programs = [trials[task.name] for task in tasks]
    traces = [trace for each in programs for trace in each]
    rows = decisions.extract(traces)
    offsets = np.arange(len(traces) + 1, dtype=np.int64)
    pool = Pool(
        tasks=tasks,
        offsets=np.cumsum([0, *map(len, programs)]),
        features=FeatureTable({DECISIONS.name: Features(rows, offsets)}),
        traces=traces,
        outcomes=Outcomes.of(outcome for each in programs for outcome in each.values()),
    )
    return with_all_features(pool)
