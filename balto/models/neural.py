"""What the MLP and the LSTM share: training, prediction in fixed blocks, files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from balto.arguments import check_field, check_type
from balto.data.features import STORE, Features, FeatureTable
from balto.data.plausible import LARGEST_FEATURE, LARGEST_WEIGHT
from balto.errors import InputError, ModelNotFitted
from balto.models.base import StackedModel
from balto.models.chunks import chunks
from balto.models.losses import Values, lambda_rank, squared_error
from balto.models.segments import pack

Floats = NDArray[np.float64]

#: Loss -> (its gradient, whether scores are bounded to (0, 1) by a sigmoid).
LOSSES: dict[str, tuple[Callable[[Values, Values, NDArray[np.int32]], Values], bool]] = {
    "lambda-rank": (lambda_rank, False),
    "squared-error": (squared_error, True),
}
#: Programs of equal length that are predicted together. Always this many, padded: matrix
#: kernels differ by shape in the last bits, and a score must not depend on the company (law 1).
BLOCK = 256
#: A column whose values differ by less is not scaled.
LEAST_SCALE = 1e-6
#: Programs that are predicted at a time: memory stays flat over millions.
CHUNK = 16_384
#: Members of `ensemble`, and the share of the hidden units that each leaves out.
MEMBERS, LEFT_OUT = 8, 0.1


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Hyper-parameters of a network and its training; `docs/models.md` says how they were chosen.

    Attributes:
        hidden: width of every layer.
        loss: a key of `LOSSES`.
        epochs: passes over the labels.
        least_steps: more passes are made until there are this many steps; matters for few labels.
        batch_size: programs a step.
        learning_rate: Adam's; the largest of a one-cycle schedule if `one_cycle`.
        one_cycle: warm up to `learning_rate`, then cool down to nothing.
        weight_decay: Adam's L2 penalty.
        max_grad_norm: largest norm of a gradient.
        standardise: bring columns to mean 0 and deviation 1; else divide by the largest value.

    Raises:
        InputError: If a value is out of its range.
    """

    hidden: int = 256
    loss: str = "lambda-rank"
    epochs: int = 50
    least_steps: int = 0
    batch_size: int = 512
    learning_rate: float = 7e-4
    one_cycle: bool = False
    weight_decay: float = 1e-6
    max_grad_norm: float = 0.5
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"expected a loss ({', '.join(LOSSES)}), got {self.loss!r}")
        for name, high in (("hidden", 65536), ("epochs", 1e6), ("batch_size", 1e9)):
            check_field(self, name, 1, high, whole=True)
        check_field(self, "least_steps", 0, 1e9, whole=True)
        for name in ("learning_rate", "max_grad_norm"):
            check_field(self, name, 1e-12, 1e6)
        check_field(self, "weight_decay", 0, 1e6)


#: balto's own training; the defaults of `NetworkSettings` are TenSet's.
OWN_TRAINING = NetworkSettings(
    hidden=128,
    epochs=25,
    least_steps=200,
    batch_size=256,
    learning_rate=2e-3,
    one_cycle=True,
    standardise=True,
)


class StoreNetwork(nn.Module):
    """A network from packed store rows to one score a program, in two halves.

    `encode` maps the rows ``R x 164`` of `b` programs to ``b x hidden``, `head` maps those to `b`
    scores; `ensemble` drops units between the two.

    Args:
        settings: sizes of its layers.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.bounded = LOSSES[settings.loss][1]

    @abstractmethod
    def encode(self, rows: Tensor, counts: list[int]) -> Tensor:
        """Packed rows `R x 164` and counts as in `Batch`, to `b x hidden`.

        Args:
            rows: ``R x width``, of all programs.
            counts: rows of each of the `b` programs.

        Returns:
            ``b x hidden``.
        """

    @abstractmethod
    def decode(self, hidden: Tensor) -> Tensor:
        """`b x hidden` to `b` raw scores.

        Args:
            hidden: ``b x hidden``.

        Returns:
            `b` scores.
        """

    def head(self, hidden: Tensor) -> Tensor:
        """`b x hidden` to `b` scores.

        Args:
            hidden: ``b x hidden``.

        Returns:
            `b` scores.
        """
        scores = self.decode(hidden)
        return torch.sigmoid(scores) if self.bounded else scores


class NetworkModel(StackedModel):
    """A cost model that is a `StoreNetwork`, trained by Adam on one thread.

    One thread, because sums over several are added in another order (law 3); it is also faster
    for networks of this size.
    """

    defaults: ClassVar[NetworkSettings]
    copies = 1  # a training takes seconds

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        super().__init__(seed, **settings)
        self._network: StoreNetwork | None = None
        self._shift, self._scale = torch.zeros(STORE.width), torch.ones(STORE.width)

    @abstractmethod
    def build(self, width: int) -> StoreNetwork:
        """A new network for rows of `width`, its weights drawn from torch's generator.

        Args:
            width: columns of a row.

        Returns:
            The network, on the CPU.
        """

    def fit_own(
        self,
        features: FeatureTable,
        relative_throughput: Floats,
        task: NDArray[np.int32],
    ) -> None:
        """Train the network."""
        with _reproducible(self.seed):
            rows = self.store_rows(features)
            self._network = self.build(rows.width)
            self._set_scaling(rows.rows)
            self._train(rows, relative_throughput, task)

    def predict(self, features: FeatureTable) -> Floats:
        """Scores: in (0, 1) for a bounded loss, of any size for a ranking one."""
        check_type("features", features, FeatureTable, "pool.features has them")
        return self.prior.blend(self._scores(features), self.taught(features))

    def _scores(self, features: FeatureTable) -> Floats:
        network = self._fitted()
        scores: Floats = self._by_blocks(features, lambda hidden: network.head(hidden)[None])[0]
        return scores

    def ensemble(self, features: FeatureTable) -> Floats:
        """Monte-Carlo dropout: member `k` leaves out a fixed tenth of the encoded units."""
        network = self._fitted()
        rng = np.random.default_rng(self.seed)
        kept = rng.random((MEMBERS, self.settings.hidden)) >= LEFT_OUT
        masks = torch.from_numpy((kept / (1.0 - LEFT_OUT)).astype(np.float32))
        members = self._by_blocks(
            features, lambda hidden: torch.stack([network.head(hidden * mask) for mask in masks])
        )
        return self.prior.blend(members, self.taught(features))

    def to_relative_throughput(self, scores: Floats, task: NDArray[np.int32]) -> Floats:
        """Scores of a bounded loss as they are; ranking scores min-max scaled within each task.

        A ranking loss fixes the order and no scale. Among the given programs of a task the best
        predicted gets 1 and the worst 0; where all are equal, all get 1.
        """
        if LOSSES[self.settings.loss][1]:
            return super().to_relative_throughput(scores, task)
        tasks, group = np.unique(task, return_inverse=True)
        top, low = np.full(len(tasks), -np.inf), np.full(len(tasks), np.inf)
        np.maximum.at(top, group, scores)
        np.minimum.at(low, group, scores)
        width = np.where(top > low, top - low, 1.0)
        return np.asarray(1.0 - (top[group] - scores) / width[group], dtype=np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters, and the weights as safetensors."""
        scaling = {"input_shift": self._shift, "input_scale": self._scale}
        weights = {**self._fitted().state_dict(), **scaling}
        config = {"seed": self.seed, "settings": asdict(self.settings)}
        return config, {"weights.safetensors": save_tensors(weights)}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError: If the weights are not those of such a network.
        """
        model = cls(config["seed"], **config["settings"])
        weights = load_tensors(payload["weights.safetensors"])
        with torch.device("meta"):  # takes no memory, however wide the file says it is
            columns = STORE.width + config["sources"]
            network = model.build(columns)
        width = torch.empty(columns, device="meta")
        expected = {**network.state_dict(), "input_shift": width, "input_scale": width}
        if weights.keys() != expected.keys():
            raise ValueError(f"no such network: it has the weights {sorted(weights)}")
        for name, tensor in weights.items():
            if (tensor.shape, tensor.dtype) != (expected[name].shape, torch.float32):
                raise ValueError(f"no such network: {name} is {tuple(tensor.shape)} {tensor.dtype}")
            largest = LARGEST_FEATURE if name.startswith("input_") else LARGEST_WEIGHT
            if not (tensor.abs() <= largest).all():
                raise ValueError(f"no such network: {name} is not within {largest:g}")
        model._shift, model._scale = weights.pop("input_shift"), weights.pop("input_scale")
        if not (model._scale >= LEAST_SCALE / 2).all():
            raise ValueError(f"no such network: input_scale is under {LEAST_SCALE:g}")
        network.load_state_dict(weights, assign=True)
        model._network = network
        return model

    def _fitted(self) -> StoreNetwork:
        if self._network is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._network

    def _set_scaling(self, rows: NDArray[np.float32]) -> None:
        shift, scale = np.zeros(rows.shape[1]), np.abs(rows).max(axis=0)
        if self.settings.standardise:
            shift, scale = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
        scale = np.where(scale > LEAST_SCALE, scale, 1.0)
        self._shift = torch.from_numpy(shift.astype(np.float32))
        self._scale = torch.from_numpy(scale.astype(np.float32))

    def _scaled(self, rows: NDArray[np.float32]) -> Tensor:
        return (torch.from_numpy(rows) - self._shift) / self._scale

    def _train(self, features: Features, y: Floats, task: NDArray[np.int32]) -> None:
        s, network = self.settings, self._fitted()
        gradient_of, _ = LOSSES[s.loss]
        rows = self._scaled(np.ascontiguousarray(features.rows))
        labels = y.astype(np.float32)
        rng = np.random.default_rng(self.seed)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay, fused=True
        )
        steps_a_pass = -(-len(y) // s.batch_size)
        passes = max(s.epochs, -(-s.least_steps // steps_a_pass))
        steps = passes * steps_a_pass
        schedule = (
            torch.optim.lr_scheduler.OneCycleLR(optimizer, s.learning_rate, total_steps=steps)
            if s.one_cycle
            else None
        )
        for _ in range(passes):
            for programs in _batches(task, s.batch_size, rng):
                batch = pack(features.offsets, programs)
                hidden = network.encode(rows[torch.from_numpy(batch.rows)], batch.counts)
                scores, members = network.head(hidden), batch.programs
                gradient = gradient_of(scores.detach().numpy(), labels[members], task[members])
                optimizer.zero_grad()
                scores.backward(torch.from_numpy(gradient))  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), s.max_grad_norm)
                optimizer.step()
                if schedule is not None:
                    schedule.step()

    def _by_blocks(self, features: FeatureTable, head: Callable[[Tensor], Tensor]) -> Floats:
        """Apply `head`, from `BLOCK x hidden` to `K x BLOCK`, to all programs: `K x n`."""
        parts = [np.empty((1, 0))] if len(features) == 0 else []
        with _reproducible(self.seed), torch.no_grad():
            for _, part in chunks(features, CHUNK):
                parts.append(self._by_length(self.store_rows(part), head))
        return np.concatenate(parts, axis=1)

    def _by_length(self, features: Features, head: Callable[[Tensor], Tensor]) -> Floats:
        """`_by_blocks` for a chunk: blocks of programs with equally many stores."""
        stores, scores = features.counts, []
        order = np.argsort(stores, kind="stable")
        for alike in np.split(order, np.flatnonzero(np.diff(stores[order])) + 1):
            length = int(stores[alike[0]])
            for start in range(0, len(alike), BLOCK):
                programs = alike[start : start + BLOCK]
                index = features.offsets[programs] + np.arange(length)[:, None]
                rows = np.zeros((length, BLOCK, features.width), dtype=np.float32)
                rows[:, : len(programs)] = features.rows[index]
                packed = self._scaled(rows.reshape(-1, features.width))
                found = head(self._fitted().encode(packed, [BLOCK] * length))
                scores.append(found[:, : len(programs)].numpy())
        out = np.empty((len(scores[0]), len(features)))
        out[:, order] = np.concatenate(scores, axis=1)
        return out


def _batches(
    task: NDArray[np.int32], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Batches of about `size` programs, shuffled, a task's programs side by side.

    A ranking loss learns from pairs within a task, so a task's programs should meet in a batch.
    """
    order = rng.permutation(len(task))
    place = rng.permutation(int(task.max()) + 1)
    order = order[np.argsort(place[task[order]], kind="stable")]
    yield from np.array_split(order, -(-len(order) // size))


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Give torch one thread and a seeded generator inside, and the caller's own back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
