"""Our own search of one task's space: draft, then verify; choose what to measure; step at last.

Nearly all of what a candidate costs MetaSchedule's search is lowering it and reading its features.
Here thousands of candidates are made as genes (`balto.search.sketches`) and judged by a *draft*: a
small forest on the decisions alone, trained in every generation on what the cost model said of
this task's programs so far. Only the best of them become programs and are judged by the model.

What is measured is not near-copies of the model's favourite. A trained forest says how far its
errors go together, so a batch is what promises most improvement (`balto.search.surrogate`). Of
other models, and while nothing was trained, most of a batch are favourites, and a selector chooses
the rest, which weighs what the model believes against what it does not know. The last trials are
drawn from the neighbours of the best programs measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_field
from balto.data.features import FEATURE_SETS, Features, FeatureTable
from balto.data.outcome import Outcome
from balto.data.task import Task
from balto.errors import InputError, WorkerDied, WorkerError, WorkerTimeout
from balto.models import create
from balto.models.xgb import XGB
from balto.programs.decisions import COLUMNS
from balto.search.learner import Learner
from balto.search.programs import Made
from balto.search.seeds import adapted
from balto.search.sketches import Genes, Sketches, cut
from balto.search.surrogate import LEAST, Belief, Judged
from balto.select import TaskState, get
from balto.select.program_features import program_features
from balto.store.known import Known, Relative
from balto.workers.worker import Worker

Floats = NDArray[np.float64]

#: Seconds that making some programs may take at most.
DEADLINE_S = 300.0
#: Programs of a store that are learnt from, the fastest.
_RECALLED = 256
#: The forest that drafts: small, as it is trained anew in every generation.
_DRAFT = "xgb:features=decisions,num_parallel_tree=8,colsample_bytree=0.3"


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How one task's space is searched.

    Attributes:
        population: random programs that the search starts from.
        drafted: candidates that the draft judges in a generation.
        verified: of those, the ones that become programs and are judged by the model, for each
            trial of the batch that is measured meanwhile: half of them are the best, half the
            best of every niche in turn.
        generations: before the first batch, together as large as for a whole one; one more while
            each batch but the last ones is measured.
        parents: the best programs so far, whose children are the candidates.
        favourites: share of a batch that has the highest predictions, of a model that is no
            trained forest; the selector chooses the rest.
        shortlist: programs a trial among which the selector chooses: those with the highest
            predictions, of every niche in turn (`balto.search.sketches.Sketch.niches`).
        selector: of the rest.
        steps: share of the trials, the last ones, that goes to neighbours of the best programs.
        batch: programs measured at a time.
        makers: workers that make programs, on the cores on which nothing is timed. Another number
            makes other programs.
        check_timeout_s: seconds that comparing a program with the untuned one may take.

    Raises:
        InputError: If a value is out of its range, or there is no such selector.
    """

    population: int = 64
    drafted: int = 4096
    verified: int = 6
    generations: int = 2
    parents: int = 32
    favourites: float = 0.75
    shortlist: int = 4
    selector: str = "biased-lcmd"
    steps: float = 0.25
    batch: int = 8
    makers: int = 2
    check_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        for name in (
            "population",
            "drafted",
            "verified",
            "parents",
            "shortlist",
            "batch",
            "makers",
        ):
            check_field(self, name, 1, whole=True)
        check_field(self, "generations", 0, whole=True)
        check_field(self, "check_timeout_s", 0.1, 1e6)
        check_field(self, "favourites", 0, 1)
        check_field(self, "steps", 0, 1)
        get(self.selector)


class TaskSearch:
    """The programs of one task that are known so far, and which to measure next.

    A seed, the outcomes and the number of workers fix what is proposed.

    Attributes:
        traces: JSON of each known program's trace, as a measurer takes it.
        latency_s: what learning was told: program -> seconds, NaN for a failure.
        first: a program to measure before all others; None for no such one.
        lost: how often a process died or hung on a share of programs, which were left out.

    Args:
        task: with its module.
        learner: judges programs; shared by all tasks of a search.
        workers: make programs; at least one.
        settings: how to search.
        seed: fixes every choice.
        deadline_s: seconds that making some programs may take.

    Raises:
        InputError: TVM cannot sample the task.
    """

    def __init__(
        self,
        task: Task,
        learner: Learner,
        workers: Sequence[Worker],
        settings: SearchSettings | None = None,
        seed: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.task, self._deadline_s = task, deadline_s
        self.settings = settings or SearchSettings()
        self._learner = learner
        self._workers = list(workers)
        self._rng = np.random.default_rng(seed)
        self._selector = get(self.settings.selector)
        self.traces: list[str] = []
        self.lost = 0
        self._known: dict[int, int] = {}  # structural hash -> program
        self._tried: set[tuple[int, bytes]] = set()  # genes that were made, or refused
        self._sketch: list[int] = []
        self._genes: list[NDArray[np.int64]] = []
        self._tables: list[FeatureTable] = []
        self._judged: list[Judged] = []
        self._asked: tuple[Any, Floats] | None = None
        self.latency_s: dict[int, float] = {}
        self.first: int | None = None
        self._seeds: list[int] = []  # programs to try first
        self._draw(seed)

    def __len__(self) -> int:
        """How many programs are known."""
        return len(self.traces)

    @property
    def best(self) -> int | None:
        """The fastest program measured; None if none worked."""
        worked = {p: s for p, s in self.latency_s.items() if np.isfinite(s)}
        return min(worked, key=lambda p: (worked[p], p)) if worked else None

    def recall(self, known: Known) -> None:
        """Begin with what stores know of the task and of its relatives.

        Its own programs are taken with their times, where TVM makes the same of them today. Those
        of other places, and the best of each relative, are the first to be tried.
        """
        for relative in known.relatives:
            if relative.same_place and not self._learner.knows(relative.key):
                self._hear(relative)
        own = dict(known.fastest()[:_RECALLED])
        others = [*known.seeds, *(each.programs[0][0] for each in known.relatives)]
        first = adapted(self._sketches, others)
        asked = {**adapted(self._sketches, own), **first}
        self._make([gene for key, gene in asked.items() if key not in self._tried])
        self.learn({p: own[trace] for p, trace in enumerate(self.traces) if trace in own})
        programs = enumerate(zip(self._sketch, self._genes, strict=True))
        place = {(number, gene.tobytes()): p for p, (number, gene) in programs}
        self._seeds = [place[key] for key in first if key in place]

    def grow(self, trials: int | None = None) -> None:
        """One generation: draft many candidates, verify the few best.

        Args:
            trials: that are measured meanwhile; a whole batch by default.
        """
        verified = self.settings.verified * (trials or self.settings.batch)
        scores = self._scores()
        if scores is None:
            return
        parents = np.argsort(-self._with_outcomes(scores), kind="stable")[: self.settings.parents]
        asked: list[tuple[int, Genes]] = []
        for number, sketch in enumerate(self._sketches.sketches):
            if not sketch.places:
                continue
            mine = [self._genes[p] for p in parents if self._sketch[p] == number]
            count = self.settings.drafted // len(self._sketches.sketches)
            genes = sketch.random(max(1, count // 4), self._rng)
            if mine:
                rows = np.stack(mine)
                some = rows[self._rng.integers(len(rows), size=count)]
                mutated = sketch.mutated(some, self._rng)
                genes = np.concatenate(
                    [
                        genes,
                        mutated,
                        sketch.mutated(mutated, self._rng),
                        sketch.crossed(some, self._rng),
                    ]
                )
            asked.append((number, genes))
        self._make(self._drafted(scores, asked, verified // 2, verified - verified // 2))

    def step(self, trials: int | None = None) -> None:
        """Make the neighbours of the best programs measured that the draft likes best.

        Args:
            trials: to choose from them; a whole batch by default.
        """
        verified = self.settings.verified * (trials or self.settings.batch)
        worked = sorted((s, p) for p, s in self.latency_s.items() if np.isfinite(s))
        scores = self._scores()
        if scores is None or not worked:
            return
        asked = []
        for _, program in worked[:2]:
            number, gene = self._sketch[program], self._genes[program]
            asked.append((number, self._sketches.sketches[number].neighbours(gene)))
        self._make(self._drafted(scores, asked, verified))

    def choose(self, count: int, favourites: float | None = None) -> list[int]:
        """Programs to measure next, at most `count`, none twice; half of them seeds, if there are.

        Args:
            count: how many.
            favourites: in the place of the settings' share, where that counts.
        """
        if self.first is not None and not self.latency_s:
            return [self.first]
        seeds = [p for p in self._seeds if p not in self.latency_s]
        seeds, self._seeds = seeds[: -(-count // 2)], seeds[-(-count // 2) :]
        return [*seeds, *self._promising(count - len(seeds), favourites, seeds)]

    def _promising(self, count: int, favourites: float | None, without: Sequence[int]) -> list[int]:
        """Programs from which most is expected, as `choose` has it."""
        share = self.settings.favourites if favourites is None else favourites
        taken = {*self.latency_s, *without}
        free = np.array([p for p in range(len(self)) if p not in taken], np.int64)
        belief = self._learner.belief
        if belief is not None:
            judged, cost = self._judgement(belief).take(free), self._learner.cost
            seconds = None if cost is None else cost.seconds(self._table.take(free))
            chosen = belief.choose(self.task.name, judged, count, seconds)
            return [int(p) for p in free[chosen]]
        scores = self._scores()
        if scores is None:
            return [int(p) for p in self._rng.permutation(free)[:count]]
        ranked = free[np.argsort(-scores[free], kind="stable")]
        first = ranked[: math.ceil(count * share)]
        others = ranked[len(first) :]
        genes = (self._genes[p][None] for p in others)
        niches = [self._niches(self._sketch[p], g)[0] for p, g in zip(others, genes, strict=True)]
        turns = _in_turns(np.array(niches, np.int64))
        measured = np.array(sorted(self.latency_s), np.int64)
        among = np.concatenate([measured, first, others[turns[: count * self.settings.shortlist]]])
        table = self._table.take(among)
        model = self._learner.model
        assert model is not None
        task = np.zeros(len(among), np.int32)
        state = TaskState(
            name=self.task.name,
            size=len(among),
            labelled=np.arange(len(measured) + len(first), dtype=np.int64),
            labels=np.full(len(measured) + len(first), np.nan),
            seconds=np.full(len(measured) + len(first), np.nan),
            predictions=model.to_relative_throughput(scores[among], task),
            program_features=lambda: program_features(table, model.feature_sets),
            ensemble_predictions=lambda: model.ensemble(table),
        )
        rest = self._selector.select(state, count - len(first), self._rng)
        return [*first.tolist(), *among[rest].tolist()]

    def said(self) -> tuple[Floats, Floats]:
        """What the trained model says of all `n` programs while the task has no trial.

        Returns:
            Relative throughput, `n`, of a forest set right by the trials of other tasks; and the
            predictions of the members of its ensemble, ``K x n``.
        """
        belief, base = self._learner.belief, self._learner.base
        assert base is not None
        if belief is None:
            predicted = base.predict(self._table)
        else:
            predicted = np.exp(belief.expect(self.task.name, self._judgement(belief)))
        return predicted, base.ensemble(self._table)

    def expected(self, program: int) -> float:
        """Relative throughput of a program, in (0, 1], while the task has no trial."""
        base, task = self._learner.base, np.zeros(len(self), np.int32)
        assert base is not None
        return float(max(base.to_relative_throughput(self.said()[0], task)[program], LEAST))

    def build_limits(self, programs: Sequence[int]) -> list[float]:
        """Seconds after which builds of programs are ended as too dear; infinity for never."""
        cost = self._learner.cost
        found = None if cost is None else cost.build_limits(self._table.take(np.array(programs)))
        return [math.inf] * len(programs) if found is None else found.tolist()

    def learn_costs(self, programs: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Take in what trials took, if that decides anything."""
        if self._learner.cost is not None:
            self._learner.cost.learn(self._table.take(np.array(programs)), outcomes)

    def learn(self, latency_s: dict[int, float]) -> None:
        """Take in what measuring gave: program -> seconds, NaN for a failure."""
        self.latency_s.update(latency_s)
        programs = np.array(sorted(latency_s), np.int64)
        seconds = np.array([latency_s[int(p)] for p in programs])
        table = self._table
        anchors = table.slice(0, self._drawn)
        self._learner.learn(self.task.name, table.take(programs), seconds, anchors)
        if self._learner.belief is not None:
            judged = self._judgement(self._learner.belief).take(programs)
            self._learner.belief.learn(self.task.name, judged, seconds)

    def _drafted(
        self, scores: Floats, asked: Sequence[tuple[int, Genes]], best: int, turns: int = 0
    ) -> list[tuple[int, NDArray[np.int64]]]:
        """What the draft likes best of candidates that were not tried yet.

        Args:
            scores: what is expected of all programs: the draft learns from them.
            asked: candidates, a sketch's number and genes.
            best: how many.
            turns: how many more, the best of every niche in turn.

        Returns:
            A sketch's number and the genes of each.
        """
        fresh = [(number, self._untried(number, genes)) for number, genes in asked]
        fresh = [(number, genes) for number, genes in fresh if len(genes)]
        if not fresh:
            return []
        draft, sketches = create(_DRAFT), self._sketches.sketches
        draft.fit(self._decisions(), _share(scores), np.zeros(len(self), np.int32))
        judged = [draft.predict(_table(sketches[number].rows(genes))) for number, genes in fresh]
        niches = np.concatenate([self._niches(number, genes) for number, genes in fresh])
        numbers = np.concatenate([np.full(len(genes), number) for number, genes in fresh])
        order = np.lexsort((numbers, -np.concatenate(judged)))
        others = order[best:]
        chosen = [*order[:best], *others[_in_turns(niches[others])[:turns]]]
        every = [gene for _, genes in fresh for gene in genes]
        return [(int(numbers[k]), every[k]) for k in chosen]

    def _niches(self, sketch: int, genes: Genes) -> NDArray[np.int64]:
        """Niches of `n` programs of a sketch, as numbers that no other sketch has."""
        sketches = self._sketches.sketches
        return sketches[sketch].niches(genes) * len(sketches) + sketch

    @property
    def _table(self) -> FeatureTable:
        if len(self._tables) > 1:
            self._tables = [FeatureTable.concatenate(self._tables)]
        return self._tables[0]

    def _scores(self) -> Floats | None:
        """What is expected of all programs; None while there is no model."""
        belief = self._learner.belief
        if belief is not None:
            expected = belief.expect(self.task.name, self._judgement(belief))
            return np.asarray(np.exp(expected - expected.max()))
        model = self._learner.model
        if model is None:
            return None
        if self._asked is None or self._asked[0] is not model:
            self._asked = (model, model.predict(self._table))
        elif len(self._asked[1]) < len(self):
            news = np.arange(len(self._asked[1]), len(self))
            more = model.predict(self._table.take(news))
            self._asked = (model, np.concatenate([self._asked[1], more]))
        return self._asked[1]

    def _judgement(self, belief: Belief) -> Judged:
        """What the trained forest says of all programs, each asked once."""
        known = sum(len(part) for part in self._judged)
        if known < len(self):
            self._judged.append(belief.judge(self._table.take(np.arange(known, len(self)))))
        if len(self._judged) > 1:
            self._judged = [Judged.concatenate(self._judged)]
        return self._judged[0]

    def _with_outcomes(self, scores: Floats) -> Floats:
        """Scores, those of failed programs last."""
        failed = [p for p, s in self.latency_s.items() if not np.isfinite(s)]
        judged = scores.copy()
        judged[failed] = -np.inf
        return judged

    def _decisions(self) -> FeatureTable:
        rows = np.empty((len(self), len(COLUMNS)), np.float32)
        numbers = np.array(self._sketch)
        for number, sketch in enumerate(self._sketches.sketches):
            here = np.flatnonzero(numbers == number)
            if len(here):
                rows[here] = sketch.rows(np.stack([self._genes[p] for p in here]))
        return _table(rows)

    def _untried(self, sketch: int, genes: Genes) -> Genes:
        distinct = {gene.tobytes(): k for k, gene in enumerate(genes)}
        return genes[[k for key, k in distinct.items() if (sketch, key) not in self._tried]]

    def _draw(self, seed: int) -> None:
        count = -(-self.settings.population // len(self._workers))
        jobs = [(count, seed * len(self._workers) + k) for k in range(len(self._workers))]
        parts = self._call("balto.search.programs:draw", jobs)
        traces = [trace for part in parts for trace in part.traces]
        if not traces and self.lost:
            raise InputError(
                f"TVM draws no program of {self.task.name}: {self.lost} processes died or took "
                f"longer than {self._deadline_s:.0f} s"
            )
        if not traces:
            raise InputError(f"TVM draws no program of {self.task.name}: its space is empty")
        self._sketches = Sketches(traces)
        for part in parts:
            self._add(part, [self._sketches.of(trace) for trace in part.traces])
        self._drawn = len(self)

    def _make(self, asked: Sequence[tuple[int, NDArray[np.int64]]]) -> None:
        self._tried.update((n, g.tobytes()) for n, g in asked)
        size = -(-len(asked) // len(self._workers))
        shares = [asked[k : k + size] for k in range(0, len(asked), size or 1)]
        traces = [[self._sketches.sketches[n].trace(g) for n, g in share] for share in shares]
        for share, part in zip(
            shares, self._call("balto.search.programs:make", [(t,) for t in traces]), strict=True
        ):
            self._add(part, [share[k] for k in part.asked])

    def _call(self, function: str, jobs: Sequence[tuple[Any, ...]]) -> list[Made]:
        """One job a worker, at the same time; a share whose process dies is counted in `lost`.

        A process that was killed from outside has lost nothing: its share is made again.
        """
        common, sets = (self.task.module, self.task.target), self._learner.feature_sets

        def made(worker: Worker, job: tuple[Any, ...]) -> Made | None:
            try:
                part: Made = worker.call_with_retries(
                    function, *common, *job, sets, deadline_s=self._deadline_s
                )
            except (WorkerDied, WorkerTimeout):
                return None
            return part

        with ThreadPoolExecutor(len(self._workers)) as threads:
            try:
                parts = list(threads.map(made, self._workers, jobs))
            except WorkerError as error:
                reason = f"TVM cannot sample {self.task.name}: {error}"
                raise InputError(reason.replace(": InputError:", ":")) from error
        self.lost += parts.count(None)
        return [part or Made([], [], [], {}) for part in parts]

    def _hear(self, relative: Relative) -> None:
        """Learn from another task's programs; those that TVM refuses today teach nothing."""
        traces, sets = (
            [json.dumps(cut(t)) for t, _ in relative.programs],
            self._learner.feature_sets,
        )
        try:
            made: Made = self._workers[0].call_with_retries(
                *("balto.search.programs:make", relative.module, self.task.target, traces, sets),
                deadline_s=self._deadline_s,
            )
        except WorkerError:
            return
        if made.traces:
            table = _features(made, range(len(made.traces)), sets)
            seconds = np.array([relative.programs[k][1] for k in made.asked])
            self._learner.learn(relative.key, table, seconds)
            if (belief := self._learner.belief) is not None:
                belief.learn(relative.key, belief.judge(table), seconds)

    def _add(self, made: Made, genes: Sequence[tuple[int, NDArray[np.int64]]]) -> None:
        fresh = []
        for k, (key, trace, (sketch, gene)) in enumerate(
            zip(made.hashes, made.traces, genes, strict=True)
        ):
            self._tried.add((sketch, gene.tobytes()))
            if key in self._known:
                continue
            self._known[key] = len(self)
            self.traces.append(trace)
            self._sketch.append(sketch)
            self._genes.append(gene)
            fresh.append(k)
        if fresh:
            self._tables.append(_features(made, fresh, self._learner.feature_sets))


def warm() -> None:
    """Load the compiled parts of drafting and choosing: a second, best spent while TVM draws."""
    rows = np.arange(2 * len(COLUMNS), dtype=np.float32).reshape(2, -1)
    draft = create(_DRAFT)
    assert isinstance(draft, XGB)
    draft.fit(_table(rows), np.array([0.5, 1.0]), np.zeros(2, np.int32))
    belief = Belief(draft)
    judged = belief.judge(_table(rows))
    belief.learn("", judged, np.ones(2))
    belief.choose("", judged, 1)


def _in_turns(groups: NDArray[Any]) -> NDArray[np.int64]:
    """The order in which groups take turns, each with its next member."""
    by_group = np.argsort(groups, kind="stable")
    new = np.append(True, np.diff(groups[by_group]) != 0)[: len(groups)]
    first = np.flatnonzero(new)
    before = np.empty(len(groups), np.int64)  # how many of its group come before each
    before[by_group] = np.arange(len(groups)) - first[np.cumsum(new) - 1]
    return np.argsort(before, kind="stable")


def _share(scores: Floats) -> Floats:
    """Scores of any unit as shares of the best, in (0, 1], for the draft."""
    low, high = float(scores.min()), float(scores.max())
    return np.clip((scores - low) / max(high - low, 1e-12), 1e-3, 1.0)


def _features(made: Made, programs: Sequence[int], sets: Sequence[str]) -> FeatureTable:
    """Features of some programs."""
    return FeatureTable(
        {
            name: Features.from_programs(
                [made.features[name][k] for k in programs], FEATURE_SETS[name].width
            )
            for name in sets
        }
    )


def _table(rows: NDArray[np.float32]) -> FeatureTable:
    return FeatureTable({"decisions": Features(rows, np.arange(len(rows) + 1, dtype=np.int64))})
