"""Run a campaign: tasks, programs, then the active-learning rounds; or go on with one."""

from __future__ import annotations

from pathlib import Path

from balto.arguments import check_type
from balto.campaign.config import Config
from balto.campaign.drawing import draw
from balto.campaign.folder import WorkFolder
from balto.campaign.learning import is_finished, learn, sampled_pool
from balto.campaign.listener import Listener
from balto.campaign.records import Kind, Programs
from balto.data.pool import Pool
from balto.data.target import Target
from balto.learn.result import Result
from balto.measure.measurer import Measurer
from balto.measure.named import opened
from balto.measure.replay import ReplayMeasurer
from balto.programs.features import read_pool
from balto.workers.executor import Executor


class Campaign(WorkFolder):
    """One pre-training run in a folder, locked for this process; resumable at any point.

    Args:
        work_dir: made if it is not there.
        config: what is asked for; must be what it was started with.

    Raises:
        CampaignError: If `work_dir` is something else's folder.
        StorageError: If `work_dir` is a file, or cannot be made.
        CampaignLocked: If another process is at it.
        ConfigurationChanged: If it was started with another `config`.
        InputError: If there is no such selector or model, a file that is named is not there, or
            the model cannot start from the one that is named.
        ModelFileError: If the model to start from is none, or damaged.

    Examples:
        >>> balto.write_pool(balto.testing.made_up_pool(), "recorded")
        180
        >>> config = balto.Config(pool="recorded", budget=0.2, rounds=3)
        >>> with balto.Campaign("work", config) as campaign:
        ...     result = campaign.run()
        >>> balto.load_model("work/model.balto")[1]["measurements"]
        29
    """

    def __init__(self, work_dir: str | Path, config: Config) -> None:
        super().__init__(work_dir, config)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: no file is missing, the model is whole."""
        return is_finished(self)

    def run(
        self,
        measurer: Measurer | str | None = None,
        listener: Listener | None = None,
        *,
        executor: Executor | None = None,
        retry_left_out: bool = False,
    ) -> Result:
        """Do what is not done yet; returns when the campaign is finished.

        A finished campaign is gone through again without measuring, for its result.

        Args:
            measurer: measures this campaign's programs: an object, or ``live`` for this machine
                or ``rpc:HOST:PORT/KEY``; the recorded pool by default, where there is one.
            listener: is told what happens.
            executor: draws the programs; worker processes of this machine by default. What is
                drawn and selected does not depend on it.
            retry_left_out: try the tasks again that could not be sampled before; those that can
                be now take part in every round, as if they had been there.

        Returns:
            Every round's accuracy, and the trained model, which is in the folder too.

        Raises:
            CampaignError: If a file of the folder is damaged, or every program failed.
            ClusterLost: If the executor's cluster is gone; what is written is kept.
            InputError: If a network, an operator or the measurer is not what was expected.
            MeasurerError: If measuring cannot go on; run again to go on.
        """
        listener = Listener() if listener is None else listener
        check_type("listener", listener, Listener, "a subclass of balto.Listener")
        if executor is not None:
            check_type(
                "executor",
                executor,
                Executor,  # type: ignore[type-abstract]
                "such as balto.workers.LocalExecutor",
            )
        if self.config.pool and measurer is None:
            return self._replay(None, listener, retry_left_out)
        with opened(measurer, Target.of(self.config.target)) as ours:
            if self.config.pool:
                return self._replay(ours, listener, retry_left_out)
            self._retry(retry_left_out)
            pool = sampled_pool(self, draw(self, ours, listener, executor))
            return learn(self, pool, ours, listener)

    def _replay(
        self, measurer: Measurer | None, listener: Listener, retry_left_out: bool
    ) -> Result:
        self._retry(retry_left_out)
        pool = read_pool(self.config.pool or "")
        self.begin()
        self._note_all(pool)
        return learn(self, pool, measurer or ReplayMeasurer(pool), listener)

    def _retry(self, wanted: bool) -> None:
        for name in list(self.facts.left_out) if wanted else ():
            self.facts.note({"kind": Kind.RETRY, "task": name})

    def _note_all(self, pool: Pool) -> None:
        for k, task in enumerate(pool.tasks):
            if task.name not in self.facts.programs:
                self.note_programs(task.name, Programs(len(pool.programs(k))))
