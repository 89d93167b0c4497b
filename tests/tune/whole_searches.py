"""A whole MetaSchedule search in a process of its own, for the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.target import Target
from balto.workers.tvm_setup import import_tvm

TARGET = Target("llvm", cores=1)


def _quick() -> Any:
    """MetaSchedule's own search with fewer candidates: it asks and measures in the same way."""
    from tvm.s_tir import meta_schedule as ms

    return ms.search_strategy.EvolutionarySearch(
        population_size=64, init_min_unmeasured=16, genetic_num_iters=2
    )


def tune_matmul(trials: int, work_dir: str | None = None) -> list[list[float]]:
    """Tune a small matmul with `balto.tune`; the seconds that the database recorded."""
    tvm = import_tvm(TARGET)
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.testing.te_workload import matmul

    from balto.tune import Builder, Runner

    database: Any = ms.tune_tir(
        mod=tvm.te.create_prim_func(matmul(64, 64, 64)),
        target=tvm.target.Target(TARGET.to_dict()),
        work_dir=work_dir or tempfile.mkdtemp(),
        max_trials_global=trials,
        num_trials_per_iter=trials,
        builder=Builder(),
        runner=Runner(),
        cost_model="random",
        strategy=_quick(),
        num_tuning_cores=1,
        seed=1,
    )
    return [[float(s) for s in record.run_secs] for record in database.get_all_tuning_records()]


def tune_network(trials: int) -> tuple[int, float]:
    """Tune a small Relax network with `balto.tune`; records, and the error of what was compiled."""
    import numpy as np

    tvm = import_tvm(TARGET)
    from tvm import relax
    from tvm.s_tir import meta_schedule as ms

    from balto.tune import Builder, Runner

    target = tvm.target.Target(TARGET.to_dict())
    blocks = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((8, 16), "float32"))
    w = relax.Var("w", relax.TensorType((16, 32), "float32"))
    with blocks.function("main", [x, w]):
        with blocks.dataflow():
            product = blocks.emit(relax.op.matmul(x, w))
            result = blocks.emit_output(relax.op.nn.relu(product))
        blocks.emit_func_output(result)
    with target:
        module = relax.get_pipeline("zero")(blocks.finalize())
    database = ms.relax_integration.tune_relax(
        mod=module,
        params={},
        target=target,
        work_dir=tempfile.mkdtemp(),
        max_trials_global=trials,
        num_trials_per_iter=trials,
        builder=Builder(),
        runner=Runner(),
        cost_model="random",
        strategy=_quick(),
        seed=1,
    )
    compiled = ms.relax_integration.compile_relax(database, module, target, params={})
    machine = relax.VirtualMachine(compiled, tvm.cpu())
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype("float32") for s in ((8, 16), (16, 32)))
    got = machine["main"](tvm.runtime.tensor(a), tvm.runtime.tensor(b)).numpy()
    error = float(np.abs(got - np.maximum(a @ b, 0)).max())
    return len(database.get_all_tuning_records()), error


def equal_shapes() -> tuple[list[int], list[int]]:
    """Repeats that a fast and a slow operator of equal argument shapes took, in this order."""
    tvm = import_tvm(TARGET)
    from tvm import te
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.testing.te_workload import matmul

    from balto.measure.live import LiveMeasurer
    from balto.measure.settings import MeasureSettings
    from balto.measure.timing import TimingSettings
    from balto.tune import Builder, Runner

    size = 32

    def slow_matmul() -> list[Any]:
        """A matrix product whose every term goes through functions that take time."""
        a, b = (te.placeholder((size, size), name=name) for name in "AB")
        k = te.reduce_axis((0, size), name="k")
        c = te.compute(
            (size, size),
            lambda i, j: te.sum(te.exp(te.sin(a[i, k]) * te.cos(b[k, j])), axis=k),
            name="C",
        )
        return [a, b, c]

    class Listening(LiveMeasurer):
        """Remembers how many repeats each program of a call took."""

        repeats: ClassVar[list[list[int]]] = []

        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            outcomes = list(super().measure(candidates))
            self.repeats.append([outcome.repeats for _, outcome in outcomes])
            return iter(outcomes)

    target = tvm.target.Target(TARGET.to_dict())
    patient = TimingSettings(max_repeats=10_000, patience_s=60.0, precision=10.0)
    settings = MeasureSettings(timing=patient, run_timeout_s=90.0)
    with Listening.for_target(TARGET, settings) as measurer:
        runner = Runner(measurer)
        for workload in (matmul(size, size, size), slow_matmul()):
            module = tvm.IRModule({"main": te.create_prim_func(workload)})
            [built] = Builder().build([ms.builder.BuilderInput(module, target)])
            arguments = ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=True)
            inputs = [ms.runner.RunnerInput(built.artifact_path, "cpu", arguments)] * 3
            results = [future.result() for future in runner.run(inputs)]
            assert all(result.error_msg is None for result in results), results
        fast, slow = measurer.repeats
    return fast, slow


def tune_with_model(model: str, mode: Any) -> tuple[int, bool, bool]:
    """Tune a small matmul by `balto.tune.CostModel` in two rounds.

    Returns:
        Trials; whether predictions before the search are the file's own; and after it.
    """
    import numpy as np

    tvm = import_tvm(TARGET)
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.testing.te_workload import matmul

    import balto
    from balto.data.features import FEATURE_SETS, Features, FeatureTable
    from balto.programs.extract import Drawn, extract
    from balto.programs.sample import trace_json
    from balto.tune import Builder, CostModel, Runner

    function = tvm.te.create_prim_func(matmul(64, 64, 64))
    target = tvm.target.Target(TARGET.to_dict())
    cost_model = CostModel(model, mode=mode)
    context = ms.TuneContext(
        mod=function, target=target, space_generator="post-order-apply", num_threads=1
    )
    schedules = list(context.generate_design_space())
    arguments = ms.arg_info.ArgInfo.from_entry_func(context.mod, remove_preproc=True)
    candidates = [ms.MeasureCandidate(each, arguments) for each in schedules]
    known = balto.load_model(model)[0]
    drawn = Drawn(context, schedules, [trace_json(each) for each in schedules])
    rows = extract(drawn, known.feature_sets)
    sets = {n: Features.from_programs(rows[n], FEATURE_SETS[n].width) for n in rows}
    expected = known.predict(FeatureTable(sets))
    before = bool(np.array_equal(cost_model.predict(context, candidates), expected))
    database: Any = ms.tune_tir(
        mod=function,
        target=target,
        work_dir=tempfile.mkdtemp(),
        max_trials_global=8,
        num_trials_per_iter=4,
        builder=Builder(),
        runner=Runner(),
        cost_model=cost_model,
        strategy=_quick(),
        num_tuning_cores=1,
        seed=1,
    )
    after = bool(np.array_equal(cost_model.predict(context, candidates), expected))
    return len(database.get_all_tuning_records()), before, after


def rounded_trace(module: str) -> str:
    """A trace of a matmul that sums in half precision: fast, and not the same."""
    schedule = _scheduled(module)
    block = schedule.get_sblock("C")
    schedule.cache_write(block, 0, "global")
    schedule.unsafe_set_dtype(block, 0, "float16")
    return _json(schedule)


def right_trace(module: str) -> str:
    """A trace of a matmul with its loops the other way round."""
    schedule = _scheduled(module)
    i, j, k = schedule.get_loops(schedule.get_sblock("C"))
    schedule.reorder(k, j, i)
    return _json(schedule)


def _scheduled(module: str) -> Any:
    tvm = import_tvm(TARGET)
    return tvm.s_tir.Schedule(tvm.ir.load_json(module), debug_mask=0)


def _json(schedule: Any) -> str:
    from balto.programs.sample import trace_json

    return trace_json(schedule)
