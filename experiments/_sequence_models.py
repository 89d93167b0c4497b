"""Networks that read a program as a sequence of tokens; `sequence.py` compares them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from _models import LambdaRank

import balto
from balto.data.features import Features, FeatureTable
from balto.models.losses import lambda_rank
from balto.programs import decisions, loops

#: Kinds of primitives that are told apart; what only names blocks and loops is left out.
KINDS = (
    *("SamplePerfectTile", "SampleCategorical", "SampleComputeLocation", "Split", "Reorder"),
    *("Fuse", "Annotate", "CacheRead", "CacheWrite", "ComputeAt", "ReverseComputeAt"),
    *("ComputeInline", "ReverseComputeInline", "RFactor", "TransformLayout", "other"),
)
NAMING = ("GetSBlock", "GetBlock", "GetLoops", "GetConsumers", "GetProducers", "GetChildBlocks")
#: Numbers of a primitive, and primitives of a program, at most.
NUMBERS, LONGEST = 10, 40
WIDTH = len(KINDS) + 1 + NUMBERS
EPOCHS, BATCH, HIDDEN = 50, 512, 64


def primitives(trace: str) -> np.ndarray:
    """One row a primitive: its kind, how many inputs it has, and log2(1 + x) of its numbers."""
    instructions, decided = json.loads(trace)
    choices = dict(decided)
    rows = []
    for place, (kind, inputs, attributes, _) in enumerate(instructions):
        if kind in NAMING or kind == "EnterPostproc":
            continue
        row = np.zeros(WIDTH, np.float32)
        row[KINDS.index(kind if kind in KINDS else "other")] = 1
        row[len(KINDS)] = len(inputs)
        numbers = list(_numbers([choices.get(place, []), attributes, inputs]))[:NUMBERS]
        row[len(KINDS) + 1 :][: len(numbers)] = np.log2(1 + np.maximum(numbers, -0.5))
        rows.append(row)
    return np.array(rows[:LONGEST])


def _numbers(values: Any) -> Iterator[float]:
    if isinstance(values, list):
        for each in values:
            yield from _numbers(each)
    elif isinstance(values, int | float):
        yield float(values)


def with_primitives(pool: balto.Pool) -> balto.Pool:
    """The pool with the set `primitives`, of its traces."""
    rows = Features.from_programs([primitives(t or "[[],[]]") for t in pool.traces], width=WIDTH)
    sets = {name: pool.features[name] for name in pool.features.names}
    return replace(pool, features=FeatureTable({**sets, "primitives": rows}))


def _groups() -> tuple[list[list[int]], list[int]]:
    """Columns of `loops` and `decisions` that one loop, band or level has; and all others."""
    names = [*loops.COLUMNS, *decisions.COLUMNS]
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        parts = name.split(".")
        token = next((".".join(parts[: k + 1]) for k, p in enumerate(parts) if _counted(p)), "")
        groups.setdefault(token, []).append(place)
    rest = groups.pop("")
    return list(groups.values()), rest


def _counted(part: str) -> bool:
    return part.rstrip("0123456789") in ("loop", "band", "level", "inner") and part[-1].isdigit()


class Sequence(LambdaRank):
    """Attention over tokens, then the mean of what became of them, to one score."""

    sets: ClassVar[tuple[str, ...]]

    @property
    def reads(self) -> tuple[str, ...]:
        return self.sets

    def tokens(self, features: FeatureTable) -> tuple[list[np.ndarray], np.ndarray]:
        """Padded tokens of each family, ``n x length x width``, and which of all are there."""
        raise NotImplementedError

    def fit(
        self, features: FeatureTable, relative_throughput: np.ndarray, task: np.ndarray
    ) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(self.seed)
        families, there = self.tokens(features)
        flat = [t.reshape(-1, t.shape[-1]) for t in families]
        self._scale = [(t.mean(0), np.maximum(t.std(0), 1e-3)) for t in flat]
        self._network = network = _network([t.shape[1:] for t in families])
        rng = np.random.default_rng(self.seed)
        y = relative_throughput.astype(np.float32)
        steps = EPOCHS * -(-len(y) // BATCH)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
        network.train()
        for _ in range(EPOCHS):
            order = rng.permutation(len(y))
            place = rng.permutation(int(task.max()) + 1)
            order = order[np.argsort(place[task[order]], kind="stable")]
            for batch in np.array_split(order, -(-len(order) // BATCH)):
                scores = self._forward(families, there, batch)
                gradient = lambda_rank(scores.detach().numpy(), y[batch], task[batch])
                optimizer.zero_grad()
                scores.backward(torch.from_numpy(np.asarray(gradient, np.float32)))
                torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
                optimizer.step()
                schedule.step()

    def predict(self, features: FeatureTable) -> np.ndarray:
        import torch

        families, there = self.tokens(features)
        self._network.eval()
        with torch.no_grad():
            found = [
                self._forward(families, there, part).numpy()
                for part in np.array_split(np.arange(len(there)), max(1, len(there) // BATCH))
            ]
        return np.concatenate(found).astype(np.float64)

    def _forward(self, families: list[np.ndarray], there: np.ndarray, batch: np.ndarray) -> Any:
        import torch

        scaled = [
            torch.from_numpy(((t[batch] - shift) / scale).astype(np.float32))
            for t, (shift, scale) in zip(families, self._scale, strict=True)
        ]
        return self._network(scaled, torch.from_numpy(there[batch]))


class Nest(Sequence):
    """Loops, bands and levels, the other columns as one token, and the stores."""

    name: ClassVar[str] = "nest"
    sets: ClassVar[tuple[str, ...]] = ("loops", "decisions", "store")
    STORES = 6

    def tokens(self, features: FeatureTable) -> tuple[list[np.ndarray], np.ndarray]:
        dense = np.concatenate([features["loops"].rows, features["decisions"].rows], axis=1)
        groups, rest = _groups()
        families = [
            dense[:, [g for g in groups if len(g) == width]]
            for width in sorted({len(g) for g in groups})
        ]
        families.append(dense[:, None, rest])
        known = sum(f.shape[1] for f in families)
        stores, there = _padded(features["store"], self.STORES)
        families.append(stores)
        return families, np.concatenate([np.ones((len(there), known), bool), there], axis=1)


class Primitives(Sequence):
    """The schedule's primitives alone."""

    name: ClassVar[str] = "primitives"
    sets: ClassVar[tuple[str, ...]] = ("primitives",)

    def tokens(self, features: FeatureTable) -> tuple[list[np.ndarray], np.ndarray]:
        rows, there = _padded(features["primitives"], LONGEST)
        return [rows], there


def _padded(features: Features, longest: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.minimum(features.counts, longest)
    there = np.arange(longest) < counts[:, None]
    rows = np.zeros((len(features), longest, features.width), np.float32)
    rows[there] = np.concatenate(
        [features[i][:longest] for i in range(len(features))] or [features.rows]
    )
    return rows, there


def _network(shapes: list[tuple[int, ...]]) -> Any:
    """An embedding a family, a place a token, two layers of attention, a mean, and two layers."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.ModuleList(nn.Linear(width, HIDDEN) for _, width in shapes)
            length = sum(count for count, _ in shapes)
            self.place = nn.Parameter(0.02 * torch.randn(length, HIDDEN))
            layer = nn.TransformerEncoderLayer(
                HIDDEN, 4, 2 * HIDDEN, dropout=0.0, batch_first=True, norm_first=True
            )
            self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Sequential(
                nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1, bias=False)
            )

        def forward(self, families: list[Any], there: Any) -> Any:
            parts = [embed(t) for embed, t in zip(self.embed, families, strict=True)]
            hidden = torch.cat(parts, 1) + self.place
            hidden = self.layers(hidden, src_key_padding_mask=~there)
            kept = there[:, :, None].to(hidden.dtype)
            return self.head((hidden * kept).sum(1) / kept.sum(1))[:, 0]

    return Network()


#: By name.
MODELS: dict[str, type[balto.CostModel]] = {m.name: m for m in (Nest, Primitives)}
