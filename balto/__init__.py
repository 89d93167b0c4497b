"""Pre-train a tensor-program cost model for your own hardware, from few measurements.

Everything here is imported when it is first used: ``import balto`` loads no TVM, torch or XGBoost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balto import models, select, testing, tune
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
    from balto.models import CostModel, ModelCard
    from balto.models import create as create_model
    from balto.models import load as load_model
    from balto.models import read_card as read_model_card
    from balto.models import save as save_model
    from balto.programs.draw import sample
    from balto.programs.features import read_pool
    from balto.select import Selector, TaskState
    from balto.select import get as get_selector
    from balto.tasks import extract_tasks
    from balto.tune.network import tune_network
    from balto.version import __version__

#: Public name -> where it is.
_WHERE = {
    "Accuracy": "balto.learn.metrics",
    "ActiveLearner": "balto.learn.loop",
    "BaltoError": "balto.errors",
    "Campaign": "balto.campaign.campaign",
    "CampaignStatus": "balto.campaign.status",
    "Candidate": "balto.data.candidate",
    "Config": "balto.campaign.config",
    "CostModel": "balto.models.base",
    "FEATURE_SETS": "balto.data.features",
    "FeatureSet": "balto.data.features",
    "FeatureTable": "balto.data.features",
    "Features": "balto.data.features",
    "Listener": "balto.campaign.listener",
    "LiveMeasurer": "balto.measure.live",
    "LoopSettings": "balto.learn.settings",
    "MeasureSettings": "balto.measure.settings",
    "Measurer": "balto.measure.measurer",
    "ModelCard": "balto.models.file",
    "Outcome": "balto.data.outcome",
    "OutcomeStore": "balto.learn.store",
    "Outcomes": "balto.data.outcomes",
    "Pool": "balto.data.pool",
    "ReplayMeasurer": "balto.measure.replay",
    "Result": "balto.learn.result",
    "Round": "balto.learn.round",
    "RoundLog": "balto.learn.store",
    "RpcMeasurer": "balto.measure.rpc",
    "RpcSettings": "balto.measure.rpc",
    "Selector": "balto.select.base",
    "Status": "balto.data.outcome",
    "Target": "balto.data.target",
    "Task": "balto.data.task",
    "TaskState": "balto.select.base",
    "__version__": "balto.version",
    "create_model": "balto.models:create",
    "extract_tasks": "balto.tasks",
    "get_selector": "balto.select:get",
    "load_model": "balto.models:load",
    "load_tuned": "balto.deploy.load",
    "models": "balto.models:",
    "pool_of": "balto.folders",
    "read_model_card": "balto.models:read_card",
    "read_pool": "balto.programs.features",
    "replay": "balto.learn.replay",
    "sample": "balto.programs.draw",
    "save_model": "balto.models:save",
    "select": "balto.select:",
    "status": "balto.folders",
    "testing": "balto.testing:",
    "tune": "balto.tune:",
    "tune_network": "balto.tune.network",
    "write_pool": "balto.data.pool_writer",
    "write_report": "balto.folders",
}

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
    "create_model",
    "extract_tasks",
    "get_selector",
    "load_model",
    "load_tuned",
    "models",
    "pool_of",
    "read_model_card",
    "read_pool",
    "replay",
    "sample",
    "save_model",
    "select",
    "status",
    "testing",
    "tune",
    "tune_network",
    "write_pool",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'balto' has no attribute {name!r}")
    module, colon, attribute = _WHERE[name].partition(":")
    found = import_module(module)
    return found if colon and not attribute else getattr(found, attribute or name)


def __dir__() -> list[str]:
    return __all__
