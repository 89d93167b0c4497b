"""Tuning operators and networks; balto inside MetaSchedule's own search (paper 4.2 to 4.4)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balto.tune.builder import Builder
    from balto.tune.cost_model import CostModel
    from balto.tune.deployed import DeployedNetwork
    from balto.tune.networks import NetworkListener, TunedNetwork, tune_network
    from balto.tune.operators import tune_operators
    from balto.tune.runner import Runner
    from balto.tune.search import SearchSettings
    from balto.tune.session import Session, SessionListener, TunedTask
    from balto.tune.tuned import Tuned, load_tuned

#: Public name -> where it is; loaded only when asked for: some import TVM.
_WHERE = {
    "tune_network": "balto.tune.networks",
    "TunedNetwork": "balto.tune.networks",
    "NetworkListener": "balto.tune.networks",
    "DeployedNetwork": "balto.tune.deployed",
    "Builder": "balto.tune.builder",
    "CostModel": "balto.tune.cost_model",
    "SessionListener": "balto.tune.session",
    "Runner": "balto.tune.runner",
    "SearchSettings": "balto.tune.search",
    "Session": "balto.tune.session",
    "Tuned": "balto.tune.tuned",
    "TunedTask": "balto.tune.session",
    "load_tuned": "balto.tune.tuned",
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
