"""TenSet's segment-sum network: an MLP a store row, summed over stores, then a residual MLP."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from balto.models.neural import OWN_TRAINING, NetworkModel, NetworkSettings, StoreNetwork
from balto.models.segments import segment_sum


class SegmentSumMLP(StoreNetwork):
    """columns -> hidden -> hidden, sum over stores, two residual layers, -> 1."""

    def __init__(self, settings: NetworkSettings, columns: int) -> None:
        super().__init__(settings)
        width = settings.hidden
        self.encoder = nn.Sequential(
            nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.layer0 = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.last = nn.Linear(width, 1)

    def encode(self, rows: Tensor, counts: list[int]) -> Tensor:
        """Encode each row and sum over stores."""
        return segment_sum(self.encoder(rows), counts)

    def decode(self, hidden: Tensor) -> Tensor:
        """Two residual layers and a linear one."""
        hidden = self.layer0(hidden) + hidden
        hidden = self.layer1(hidden) + hidden
        scores: Tensor = self.last(hidden)[:, 0]
        return scores


class MLP(NetworkModel):
    """The segment-sum network with balto's own training: half as wide, on standardised columns."""

    name: ClassVar[str] = "mlp"
    defaults: ClassVar[NetworkSettings] = OWN_TRAINING

    def build(self, width: int) -> StoreNetwork:
        """A new network for rows of `width`."""
        return SegmentSumMLP(self.settings, width)


class TenSetMLP(MLP):
    """The segment-sum network trained as TenSet trains it, with ranks within a task."""

    name: ClassVar[str] = "mlp-tenset"
    defaults: ClassVar[NetworkSettings] = NetworkSettings()


class TenSetMLPRegression(MLP):
    """The segment-sum network with TenSet's other loss: square error through a sigmoid."""

    name: ClassVar[str] = "mlp-tenset-rmse"
    defaults: ClassVar[NetworkSettings] = NetworkSettings(loss="squared-error", epochs=100)
