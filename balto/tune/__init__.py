"""Tuning operators and networks; balto inside MetaSchedule's own search (paper 4.2 to 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.deploy.listener import NetworkListener
    from balto.deploy.load import DeployedNetwork, Timed, Tuned, load_tuned
    from balto.deploy.settings import DeploySettings
    from balto.metaschedule.builder import Builder
    from balto.metaschedule.cost_model import CostModel
    from balto.metaschedule.runner import Runner
    from balto.metaschedule.stock import StockSearch
    from balto.search.favourite import Favourite as Favourite
    from balto.search.forecast import Forecast as Forecast
    from balto.search.forecast import Standing as Standing
    from balto.search.listener import SessionListener
    from balto.search.pace import Pace as Pace
    from balto.search.session import Session
    from balto.search.task import SearchSettings
    from balto.search.tuning import TaskTuning, TunedTask
    from balto.store.known import FromStore as FromStore
    from balto.store.known import Known as Known
    from balto.store.known import Relative as Relative
    from balto.store.memory import Memory as Memory
    from balto.tune.network import TunedNetwork, tune_network
    from balto.tune.operators import TunedOperators, tune_operators
    from balto.tune.status import TaskStatus, TuneStatus

__all__ = [
    "Builder",
    "CostModel",
    "DeploySettings",
    "DeployedNetwork",
    "Favourite",
    "Forecast",
    "FromStore",
    "Known",
    "Memory",
    "NetworkListener",
    "Pace",
    "Relative",
    "Runner",
    "SearchSettings",
    "Session",
    "SessionListener",
    "Standing",
    "StockSearch",
    "TaskStatus",
    "TaskTuning",
    "Timed",
    "TuneStatus",
    "Tuned",
    "TunedNetwork",
    "TunedOperators",
    "TunedTask",
    "load_tuned",
    "tune_network",
    "tune_operators",
]

__getattr__, __dir__ = lazily(__name__)
