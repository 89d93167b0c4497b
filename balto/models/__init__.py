"""Cost models: how fast a program is, relative to the best of its task (paper 2.2)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from balto.models.base import CostModel
from balto.models.file import ModelCard, load, read_card, save
from balto.models.registry import MODELS, create

if TYPE_CHECKING:
    from balto.models.lstm import LSTM
    from balto.models.mlp import MLP, TenSetMLP, TenSetMLPRegression
    from balto.models.pack_sum import PackSumXGB
    from balto.models.xgb import XGB

__all__ = [
    "LSTM",
    "MLP",
    "MODELS",
    "XGB",
    "CostModel",
    "ModelCard",
    "PackSumXGB",
    "TenSetMLP",
    "TenSetMLPRegression",
    "create",
    "load",
    "read_card",
    "save",
]

_WHERE = {
    "LSTM": "lstm",
    "MLP": "mlp",
    "PackSumXGB": "pack_sum",
    "TenSetMLP": "mlp",
    "TenSetMLPRegression": "mlp",
    "XGB": "xgb",
}


def __getattr__(name: str) -> Any:
    """Load a model when it is asked for: some import torch or XGBoost."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
