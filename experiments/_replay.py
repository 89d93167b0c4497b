"""What a replay of a recorded pool is, and how it is run: through the public API.

A `Cell` is one replay, named by all that decides its result; a `Run` is what it gave. The code of
this file is in every name, since it decides results; that of `_study.py`, which keeps runs, is not.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from zlib import crc32

import _models
import _sequence_models
import numpy as np
from _selectors import SELECTORS
from _sequence_models import with_primitives
from starter import SETS, train

import balto
from balto.data.features import FEATURE_SETS
from balto.errors import InputError
from balto.learn.metrics import Accuracy, evaluate, relative_throughput
from balto.learn.tmax import TMaxEstimator

#: The selector that is trained on the whole training share at once.
FULL = "full"
TEST_SHARE = 0.25
_APART = 5
HERE = Path(__file__).resolve().parent
LIBRARY = Path(balto.__file__).resolve().parent
#: Cost models that are no part of balto, by name, as `SELECTORS` are.
MODELS = {**_models.MODELS, **_sequence_models.MODELS}
#: What of the library decides the result of a replay.
DECIDING = (
    *("data", "models", "select", "learn", "compiled.py"),
    *("measure/replay.py", "programs/features.py"),
)


@dataclass(frozen=True)
class Cell:
    """One replay.

    Attributes:
        pool: folder of the recorded pool.
        scheme: a selector, or ``full``.
        model: a cost model.
        budget: share of the selectable programs that is measured.
        rounds: in how many equal rounds.
        shares: in the place of both: the share that is measured after each round.
        seed: fixes the split, the selections and the model.
        sources: pools to learn from first, on all their labels; none is a cold start.
        network: its tasks are held out, and all others learnt from; ``1/4`` for the first quarter
            of all tasks; empty for a quarter of the programs of every task.
        programs: of each task, the first so many; 0 for all.
        t_max: whether the best of few labels is corrected towards T_max.
        seen: share of the programs of every task that is held out as a campaign does, beside those
            that judge; 0 for none.
    """

    pool: str
    scheme: str
    model: str = "xgb"
    budget: float = 0.05
    rounds: int = 15
    shares: tuple[float, ...] = ()
    seed: int = 0
    sources: tuple[str, ...] = ()
    network: str = ""
    programs: int = 0
    t_max: bool = True
    seen: float = 0.0

    @property
    def key(self) -> str:
        """Name of its file, by all that decides the result: other code makes a run of its own.

        That is the cell, with its pools' contents and not where they lie; `TEST_SHARE`; names and
        versions of the feature sets; and the code, the library's and ours, without its comments.
        """
        named = asdict(replace(self, budget=1.0, rounds=1) if self.scheme == FULL else self)
        named["pool"] = fingerprint(self.pool)
        named["sources"] = [fingerprint(source) for source in self.sources]
        named["test_share"] = TEST_SHARE
        named["sets"] = [each.to_dict() for each in FEATURE_SETS.values()]
        named["code"] = code_of(self.code)
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def code(self) -> list[Path]:
        """Files and folders that decide the result; of our own, those that this cell needs."""
        ours = {Path(__file__).name} | ({"starter.py"} if self.sources else set())
        for each in (type(SELECTORS.get(self.scheme)), MODELS.get(self.model, object)):
            ours |= {f"{base.__module__}.py" for base in each.__mro__}
        here = sorted(HERE / name for name in ours if (HERE / name).exists())
        return [*(LIBRARY / name for name in DECIDING), *here]


@dataclass(frozen=True)
class Run:
    """What a replay gave: `R` rounds, `K` tasks that it was judged on.

    Attributes:
        tasks: their names.
        weight: how often each occurs in its network, `K`.
        share, measurements, seconds: what was spent after each round, `R`.
        values: ``R x K`` each: ``top1``, ``top5`` and ``halves`` (Top-1 over random halves of the
            judged programs); ``seen``, the same of those held out as a campaign does; ``best_s``,
            ``top1_s`` and ``top5_s``, seconds of the fastest program and of the fastest of the k
            best predicted, where a network is held out; ``top1_ran_s`` and ``top5_ran_s``, the same
            among the programs that ran.
        labels: y of the programs that each round measured, 0 for a failure; `R` lists.
        label_tasks: the same lists, with the number of each program's task.
    """

    tasks: list[str]
    weight: np.ndarray
    share: np.ndarray
    measurements: np.ndarray
    seconds: np.ndarray
    values: dict[str, np.ndarray]
    labels: list[list[float]]
    label_tasks: list[list[int]]


VALUES = (
    *("top1", "top5", "halves", "best_s", "top1_s", "top5_s"),
    *("top1_ran_s", "top5_ran_s", "seen"),
)


def code_of(parts: Iterable[Path]) -> str:
    """A hash of what is written in some files and folders, in whichever of them it stands.

    Comments, docstrings and imports of balto's are no part of it: other words give the same hash,
    and so does code that moves from one of the files to another.
    """
    said = set().union(*map(statements, parts))
    return hashlib.sha256("\n".join(sorted(said)).encode()).hexdigest()[:16]


@cache
def statements(part: Path) -> frozenset[str]:
    """The statements of a file, or of all Python files of a folder; read once."""
    files = part.rglob("*.py") if part.is_dir() else [part]
    trees = [_Code().visit(ast.parse(file.read_bytes())) for file in files]
    return frozenset(ast.unparse(statement) for tree in trees for statement in tree.body)


class _Code(ast.NodeTransformer):
    """Leaves out docstrings, and where a name of balto's is imported from."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        return None if (node.module or "").partition(".")[0] == "balto" else node


@cache
def fingerprint(pool: str) -> str:
    """What a pool is known by: a hash of its two files."""
    files = [Path(pool) / name for name in ("programs.parquet", "tasks.parquet")]
    try:
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"expected a recorded pool, got {pool}: {error.strerror}") from error


@lru_cache(maxsize=4)
def read_pool(path: str, programs: int = 0) -> balto.Pool:
    """A pool, or the first `programs` programs of each of its tasks."""
    pool = balto.read_pool(path)
    return part(pool, range(len(pool.tasks)), programs) if programs else pool


def part(pool: balto.Pool, tasks: Iterable[int], programs: int = 0) -> balto.Pool:
    """Some tasks of a pool, with the first `programs` programs of each; 0 for all of them."""
    tasks = list(tasks)
    chosen = [np.array(pool.programs(k))[: programs or None] for k in tasks]
    index = np.concatenate(chosen)
    return balto.Pool(
        tasks=[pool.tasks[k] for k in tasks],
        offsets=np.cumsum([0, *map(len, chosen)]),
        features=pool.features.take(index),
        traces=[pool.traces[i] for i in index],
        outcomes=pool.outcomes.take(index),
    )


@lru_cache(maxsize=8)
def starter(sources: tuple[str, ...], target: str) -> balto.CostModel:
    """A model of every label of some pools, as `starter.py` makes the shipped one.

    Of the feature sets that all pools and the target have, or of `store`.
    """
    pools = [read_pool(source) for source in sources]
    shared = [pool.features.names for pool in [*pools, read_pool(target)]]
    sets = [name for name in SETS if all(name in names for names in shared)]
    return train(pools, sets or ["store"])


def get_selector(name: str) -> balto.Selector:
    """One that ships, or one that was left out."""
    return SELECTORS[name] if name in SELECTORS else balto.get_selector(name)


def create_model(name: str, seed: int) -> balto.CostModel:
    """One that ships, somebody else's, or one that was left out."""
    return MODELS[name](seed) if name in MODELS else balto.create_model(name, seed)


class Networks:
    """Which tasks of a pool are a network's, and how often each occurs in it.

    The tasks are read from the networks themselves (`balto.extract_tasks`, which needs TVM and
    torch, once; `OUT/networks.json` keeps them), or given in a JSON file of that form:
    ``{"resnet-50": {"name of a task": how often}}``. Where none is given and the pool's own folder
    has one, as an import leaves it, that one says.
    """

    def __init__(self, out: Path, given: Path | None = None) -> None:
        self._path = given or out / "networks.json"
        self._fixed = given is not None
        self._known = _read_networks(self._path) if self._path.exists() else {}

    def weights(self, name: str, pool: balto.Pool, folder: str | None = None) -> dict[int, float]:
        """Tasks of `pool`, of that folder, that are of the network, and how often each occurs."""
        number, slash, count = name.partition("/")
        if slash and number.isdigit() and count.isdigit():
            order = np.random.default_rng(0).permutation(len(pool.tasks))
            fold = order % int(count) == int(number) % int(count)
            return {k: float(pool.tasks[k].weight) for k in np.flatnonzero(fold).tolist()}
        known, path, fixed = self._known, self._path, self._fixed
        if folder and not fixed and (Path(folder) / "networks.json").exists():
            path, fixed = Path(folder) / "networks.json", True
            known = _read_networks(path)
        if name not in known:
            if fixed:
                few = ", ".join(list(known)[:5]) + ", ..." * (len(known) > 5)
                raise InputError(f"expected the tasks of {name} in {path}, which has {few}")
            # The pools have networks in their own layout, which they are no longer tuned in.
            target = pool.tasks[0].target
            of_network = balto.extract_tasks([name], target=target, own_layout=True)
            known[name] = {task.name: task.weight for task in of_network.tasks}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known, indent=1), encoding="utf-8")
        weights = known[name]
        found = {k: float(weights[t.name]) for k, t in enumerate(pool.tasks) if t.name in weights}
        if not found or len(found) == len(pool.tasks):
            raise InputError(f"expected a pool with tasks of {name} and with others")
        return found


def _read_networks(path: Path) -> dict[str, dict[str, float]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"expected JSON in {path}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise InputError(f"expected the tasks of each network in {path}, found something else")
    return found


def replay(cell: Cell, networks: Networks) -> Run:
    """Run one cell, through the public API."""
    pool = read_pool(cell.pool, cell.programs)
    model = create_model(cell.model, cell.seed)
    if "primitives" in model.reads:
        pool = with_primitives(pool)
    weights = {k: float(task.weight) for k, task in enumerate(pool.tasks)}
    judged = pool
    if cell.network:
        weights = networks.weights(cell.network, pool, cell.pool)
        judged = part(pool, weights)
        pool = part(pool, (k for k in range(len(pool.tasks)) if k not in weights))
        weights = dict(enumerate(weights.values()))
    settings = balto.LoopSettings(
        budget=1.0 if cell.scheme == FULL or cell.shares else cell.budget,
        rounds=1 if cell.scheme == FULL else len(cell.shares) or cell.rounds,
        test_share=0.0 if cell.network else TEST_SHARE + cell.seen,
        seed=cell.seed,
    )
    source = starter(cell.sources, cell.pool) if cell.sources else None
    if source is not None:
        model.start_from(source)
    selector = get_selector("random" if cell.scheme == FULL else cell.scheme)
    measurer = balto.ReplayMeasurer(pool)
    t_max = TMaxEstimator() if cell.t_max else TMaxEstimator(trusted=0)
    learner = balto.ActiveLearner(
        pool, measurer, selector, model, settings, t_max=t_max, start_from=source
    )
    if cell.shares and cell.scheme != FULL:
        learner.schedule = _schedule(learner.split.train, cell.shares)
    apart = _apart(learner, cell.seen / (cell.seen + TEST_SHARE)) if cell.seen else None
    rounds: list[balto.Round] = []
    values: list[dict[str, np.ndarray]] = []

    def judge(result: balto.Round) -> None:
        rounds.append(result)
        if cell.network:
            values.append(_of_network(learner.model, judged))
        elif apart is not None:
            values.append(_of_parts(learner.model, pool, *apart))
        else:
            values.append(_of_tasks(result.task_accuracy, len(weights)))

    learner.run(judge)
    measurements = np.array([r.measurements for r in rounds])
    labels, label_tasks = _labels(learner, pool)
    return Run(
        tasks=[task.name for task in judged.tasks],
        weight=np.array(list(weights.values())),
        share=measurements / learner.selectable,
        measurements=measurements,
        seconds=np.array([r.seconds for r in rounds]),
        values={name: np.array([v[name] for v in values]) for name in VALUES},
        labels=labels,
        label_tasks=label_tasks,
    )


def _schedule(train: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """How many programs of each task each round measures; two at least in the first."""
    sizes = np.array([len(t) for t in train])
    done = np.floor(sizes[:, None] * np.array(shares) + 0.5).astype(np.int64)
    done = np.maximum(done, np.minimum(sizes, 2)[:, None])
    return np.diff(done, axis=1, prepend=0)


def _of_tasks(accuracy: dict[int, Accuracy], tasks: int) -> dict[str, np.ndarray]:
    values = {name: np.full(tasks, np.nan) for name in VALUES}
    for k, of_task in accuracy.items():
        values["top1"][k], values["top5"][k] = of_task.top1, of_task.top5
        values["halves"][k] = of_task.top1_halves
    return values


def _apart(learner: balto.ActiveLearner, seen: float) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of the held-out programs, by number in the pool: what is seen, and what judges."""
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for k, task in enumerate(learner.pool.tasks):
        rng = np.random.default_rng([_APART, learner.settings.seed, crc32(task.name.encode())])
        drawn = rng.permutation(learner.split.test[k]) + learner.pool.offsets[k]
        cut = max(1, round(len(drawn) * seen))
        parts[0].append(np.sort(drawn[:cut]))
        parts[1].append(np.sort(drawn[cut:]))
    return np.concatenate(parts[0]), np.concatenate(parts[1])


def _of_parts(
    model: balto.CostModel, pool: balto.Pool, seen: np.ndarray, judging: np.ndarray
) -> dict[str, np.ndarray]:
    """All by the programs that judge, and Top-1 over halves by those that are seen."""
    both = []
    for index in (judging, seen):
        scores = model.predict(pool.features.take(index))
        task = pool.task_of_program[index]
        accuracy = evaluate(scores, scores, pool.latency_s[index], task)[1]
        both.append(_of_tasks(accuracy, len(pool.tasks)))
    return {**both[0], "seen": both[1]["halves"]}


def _of_network(model: balto.CostModel, judged: balto.Pool) -> dict[str, np.ndarray]:
    """Every program of a held-out task is judged, by latencies and not by labels.

    One that failed is infinitely slow: as in TenSet's evaluation, where it is 1e5 times as slow as
    the best. Beside it, the same with what failed left out.
    """
    values = {name: np.full(len(judged.tasks), np.nan) for name in VALUES}
    scores = model.predict(judged.features)
    for k in range(len(judged.tasks)):
        programs = np.array(judged.programs(k))
        latency = np.where(judged.outcomes.ok[programs], judged.latency_s[programs], np.inf)
        if not np.isfinite(latency).any():
            continue
        order = np.argsort(-scores[programs], kind="stable")
        ran = order[np.isfinite(latency[order])]
        values["best_s"][k] = best = latency.min()
        for count in (1, 5):
            values[f"top{count}_s"][k] = chosen = latency[order[:count]].min()
            values[f"top{count}"][k] = best / chosen
            values[f"top{count}_ran_s"][k] = latency[ran[:count]].min()
    return values


def _labels(
    learner: balto.ActiveLearner, pool: balto.Pool
) -> tuple[list[list[float]], list[list[int]]]:
    """Labels of what each round measured, and their tasks."""
    y = relative_throughput(pool.latency_s, pool.task_of_program)
    ends = learner.schedule.cumsum(axis=1)
    labels, tasks = [], []
    for r in range(ends.shape[1]):
        chosen = [
            (float(y[pool.offsets[k] + program]), k)
            for k, picks in enumerate(learner.picks)
            for program in picks[ends[k, r] - learner.schedule[k, r] : ends[k, r]]
        ]
        labels.append([label for label, _ in chosen])
        tasks.append([task for _, task in chosen])
    return labels, tasks
