"""Pre-train a tensor-program cost model for your own hardware, from few measurements.

Everything here is imported when it is first used: ``import balto`` loads no TVM, torch or XGBoost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto import (
        campaign,
        importers,
        journal,
        learn,
        measure,
        models,
        select,
        tasks,
        testing,
        tune,
        workers,
    )
    from balto.campaign.campaign import Campaign
    from balto.campaign.config import Config
    from balto.campaign.listener import Listener
    from balto.campaign.status import CampaignStatus
    from balto.data.candidate import Candidate
    from balto.data.features import FEATURE_SETS, Features, FeatureSet, FeatureTable
    from balto.data.outcome import Outcome, Status
    from balto.data.outcomes import Outcomes
    from balto.data.pool import Pool
    from balto.data.pool_writer import write_pool
    from balto.data.target import Target
    from balto.data.task import Task
    from balto.deploy.load import load_tuned
    from balto.errors import BaltoError
    from balto.folders import pool_of, status, write_report
    from balto.learn.loop import ActiveLearner
    from balto.learn.metrics import Accuracy
    from balto.learn.replay import replay
    from balto.learn.result import Result
    from balto.learn.round import Round
    from balto.learn.settings import LoopSettings
    from balto.learn.store import OutcomeStore, RoundLog
    from balto.measure.live import LiveMeasurer
    from balto.measure.measurer import Measurer
    from balto.measure.replay import ReplayMeasurer
    from balto.measure.rpc import RpcMeasurer, RpcSettings
    from balto.measure.settings import MeasureSettings
    from balto.models.base import CostModel
    from balto.models.file import ModelCard
    from balto.models.file import load as load_model
    from balto.models.file import read_card as read_model_card
    from balto.models.file import save as save_model
    from balto.models.registry import create as create_model
    from balto.programs.draw import sample
    from balto.programs.features import read_pool
    from balto.select.base import Selector, TaskState
    from balto.select.registry import get as get_selector
    from balto.tasks import extract_tasks
    from balto.tasks.own import read_task_file, task_of, write_task_file
    from balto.tune.network import tune_network
    from balto.tune.operators import tune_operators
    from balto.version import __version__

__all__ = [
    "FEATURE_SETS",
    "Accuracy",
    "ActiveLearner",
    "BaltoError",
    "Campaign",
    "CampaignStatus",
    "Candidate",
    "Config",
    "CostModel",
    "FeatureSet",
    "FeatureTable",
    "Features",
    "Listener",
    "LiveMeasurer",
    "LoopSettings",
    "MeasureSettings",
    "Measurer",
    "ModelCard",
    "Outcome",
    "OutcomeStore",
    "Outcomes",
    "Pool",
    "ReplayMeasurer",
    "Result",
    "Round",
    "RoundLog",
    "RpcMeasurer",
    "RpcSettings",
    "Selector",
    "Status",
    "Target",
    "Task",
    "TaskState",
    "__version__",
    "campaign",
    "create_model",
    "extract_tasks",
    "get_selector",
    "importers",
    "journal",
    "learn",
    "load_model",
    "load_tuned",
    "measure",
    "models",
    "pool_of",
    "read_model_card",
    "read_pool",
    "read_task_file",
    "replay",
    "sample",
    "save_model",
    "select",
    "status",
    "task_of",
    "tasks",
    "testing",
    "tune",
    "tune_network",
    "tune_operators",
    "workers",
    "write_pool",
    "write_report",
    "write_task_file",
]

__getattr__, __dir__ = lazily(__name__)
