"""Measuring programs: live, over RPC, or replayed from a recorded pool (paper 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.measure.live import LiveMeasurer
    from balto.measure.measurer import Measurer
    from balto.measure.placement import CpuPlacement
    from balto.measure.remote import Tracker
    from balto.measure.replay import ReplayMeasurer
    from balto.measure.rpc import RpcMeasurer, RpcSettings
    from balto.measure.settings import Limit, MeasureSettings
    from balto.measure.timing import TimingSettings

__all__ = [
    "CpuPlacement",
    "Limit",
    "LiveMeasurer",
    "MeasureSettings",
    "Measurer",
    "ReplayMeasurer",
    "RpcMeasurer",
    "RpcSettings",
    "TimingSettings",
    "Tracker",
]

__getattr__, __dir__ = lazily(__name__)
