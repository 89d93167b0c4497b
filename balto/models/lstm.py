"""TenSet's third model: an LSTM over a program's store rows, in order."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from balto.models.neural import OWN_TRAINING, NetworkModel, NetworkSettings, StoreNetwork


class StoreLSTM(StoreNetwork):
    """columns -> hidden, one LSTM layer over the stores, last state -> hidden -> 1."""

    def __init__(self, settings: NetworkSettings, columns: int) -> None:
        super().__init__(settings)
        width = settings.hidden
        self.encoder = nn.Sequential(nn.Linear(columns, width), nn.ReLU())
        self.lstm = nn.LSTM(width, width)
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def encode(self, rows: Tensor, counts: list[int]) -> Tensor:
        """The LSTM's state after a program's last store."""
        _, (state, _) = self.lstm(PackedSequence(self.encoder(rows), torch.tensor(counts)))
        last: Tensor = state[0]
        return last

    def decode(self, hidden: Tensor) -> Tensor:
        """Two linear layers."""
        scores: Tensor = self.decoder(hidden)[:, 0]
        return scores


class LSTM(NetworkModel):
    """An LSTM over the store sequence."""

    name: ClassVar[str] = "lstm"
    defaults: ClassVar[NetworkSettings] = OWN_TRAINING

    def build(self, width: int) -> StoreNetwork:
        """A new network for rows of `width`."""
        return StoreLSTM(self.settings, width)
