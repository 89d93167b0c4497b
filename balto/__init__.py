"""Pre-train a tensor-program cost model for your own hardware, from few measurements.

Everything here is imported when it is first used: ``import balto`` loads no TVM, torch or XGBoost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balto.campaign.config import Config
    from balto.campaign.run import Campaign, Listener
    from balto.campaign.status import pool_of, status
    from balto.errors import BaltoError
    from balto.learn.loop import ActiveLearner, LoopSettings
    from balto.learn.replay import replay
    from balto.measure.live import LiveMeasurer, MeasureSettings
    from balto.measure.replay import ReplayMeasurer
    from balto.models import create as create_model
    from balto.models import load as load_model
    from balto.models import save as save_model
    from balto.pool.exchange import read_pool, write_pool
    from balto.report.page import write_report
    from balto.select import get as get_selector
    from balto.tasks import extract_tasks

__all__ = [
    "ActiveLearner",
    "BaltoError",
    "Campaign",
    "Config",
    "Listener",
    "LiveMeasurer",
    "LoopSettings",
    "MeasureSettings",
    "ReplayMeasurer",
    "create_model",
    "extract_tasks",
    "get_selector",
    "load_model",
    "pool_of",
    "read_pool",
    "replay",
    "save_model",
    "status",
    "write_pool",
    "write_report",
]

_WHERE = {
    "ActiveLearner": "balto.learn.loop",
    "BaltoError": "balto.errors",
    "Campaign": "balto.campaign.run",
    "Config": "balto.campaign.config",
    "Listener": "balto.campaign.run",
    "LiveMeasurer": "balto.measure.live",
    "LoopSettings": "balto.learn.loop",
    "MeasureSettings": "balto.measure.live",
    "ReplayMeasurer": "balto.measure.replay",
    "create_model": "balto.models:create",
    "extract_tasks": "balto.tasks",
    "get_selector": "balto.select:get",
    "load_model": "balto.models:load",
    "pool_of": "balto.campaign.status",
    "read_pool": "balto.pool.exchange",
    "replay": "balto.learn.replay",
    "save_model": "balto.models:save",
    "status": "balto.campaign.status",
    "write_pool": "balto.pool.exchange",
    "write_report": "balto.report.page",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'balto' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return __all__
