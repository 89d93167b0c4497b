"""Tuning operators and networks; balto inside MetaSchedule's own search (paper 4.2 to 4.4)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balto.deploy.listener import NetworkListener
    from balto.deploy.load import DeployedNetwork, Tuned, load_tuned
    from balto.metaschedule.builder import Builder
    from balto.metaschedule.cost_model import CostModel
    from balto.metaschedule.runner import Runner
    from balto.search.listener import SessionListener
    from balto.search.session import Session
    from balto.search.task import SearchSettings
    from balto.search.tuning import TunedTask
    from balto.tune.network import TunedNetwork, tune_network
    from balto.tune.operators import tune_operators

#: Public name -> where it is; loaded only when asked for: some import TVM.
_WHERE = {
    "tune_network": "balto.tune.network",
    "TunedNetwork": "balto.tune.network",
    "NetworkListener": "balto.tune.network",
    "DeployedNetwork": "balto.deploy.load",
    "Builder": "balto.metaschedule.builder",
    "CostModel": "balto.metaschedule.cost_model",
    "SessionListener": "balto.search.listener",
    "Runner": "balto.metaschedule.runner",
    "SearchSettings": "balto.search.task",
    "Session": "balto.search.session",
    "Tuned": "balto.deploy.load",
    "TunedTask": "balto.search.tuning",
    "load_tuned": "balto.deploy.load",
    "tune_operators": "balto.tune.operators",
}

__all__ = [
    "Builder",
    "CostModel",
    "DeployedNetwork",
    "NetworkListener",
    "Runner",
    "SearchSettings",
    "Session",
    "SessionListener",
    "Tuned",
    "TunedNetwork",
    "TunedTask",
    "load_tuned",
    "tune_network",
    "tune_operators",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
