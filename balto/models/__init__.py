"""Cost models: how fast a program is, relative to the best of its task (paper 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.models.base import CostModel
    from balto.models.bins import Bins
    from balto.models.file import ModelCard, load, read_card, save
    from balto.models.forest import Forest
    from balto.models.lstm import LSTM
    from balto.models.mlp import MLP, TenSetMLP, TenSetMLPRegression
    from balto.models.neural import NetworkSettings, StoreNetwork
    from balto.models.pack_sum import PackSumSettings, PackSumXGB
    from balto.models.prior import Prior
    from balto.models.registry import MODELS, create
    from balto.models.xgb import XGB, XGBSettings

__all__ = [
    "LSTM",
    "MLP",
    "MODELS",
    "XGB",
    "Bins",
    "CostModel",
    "Forest",
    "ModelCard",
    "NetworkSettings",
    "PackSumSettings",
    "PackSumXGB",
    "Prior",
    "StoreNetwork",
    "TenSetMLP",
    "TenSetMLPRegression",
    "XGBSettings",
    "create",
    "load",
    "read_card",
    "save",
]

__getattr__, __dir__ = lazily(__name__)
