r"""Table 1: accuracy of each selection scheme at few labels, beside all labels.

    python experiments/table1.py --pool pools/epyc-avx2 pools/epyc-sse --scale small
    python experiments/table1.py --networks resnet-50 mobilenet-v2 bert-tiny \
        --pool pools/epyc-avx512

A quarter of each task's programs is held out; with ``--networks``, all tasks of one network at a
time, and what is reported is TenSet's latency-weighted Top-k, where a program that failed is
infinitely slow, and beside it the same with those programs left out. Means over seeds and tasks
with 95 % intervals, then the differences to `random` and to the best of the baselines, paired by
task and seed. The best baseline is the best of this very table: a difference to it is a hard one.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import _intervals as st
from _page import Table, publish
from _replay import FULL, Cell, Networks, Run, fingerprint
from _study import arguments, main, merged, run_all

#: The paper's; ALT is "alt", Ours1 "output-diversity", Ours2 "balto". LCMD came later.
BASELINES = ("random", "gsx", "gsy", "igs", "alt", "lcmd")
SCHEMES = (FULL, *BASELINES, "output-diversity", "balto", "biased-lcmd")
PAPER = {"output-diversity": "output-diversity (Ours1)", "balto": "balto (Ours2)"}
METRICS = {
    "top1": "Top-1",
    "top5": "Top-5",
    "halves": "Top-1 over random halves",
    "top1_ran": "Top-1 of the programs that ran",
    "top5_ran": "Top-5 of the programs that ran",
}
#: Of a network held out, and of programs held out.
BY_NETWORK, BY_PROGRAM = ("top1", "top5", "top1_ran", "top5_ran"), ("top1", "top5", "halves")


def cells(options: Namespace) -> list[Cell]:
    """Everything that the table needs."""
    small = options.scale == "small"
    return [
        Cell(
            pool=pool,
            scheme=scheme,
            model=model,
            budget=budget,
            rounds=5 if small else 15,
            seed=seed,
            network=network,
            programs=120 if small else 0,
        )
        for pool in options.pool
        for network in options.networks or [""]
        for model in options.models
        for budget in options.budgets
        for scheme in options.schemes
        for seed in range(options.seeds)
    ]


def ratio(runs: Sequence[Run], metric: str, pool: str, network: str = "") -> st.Ratio:
    """One pool's, or one network's in it: of all its seeds, after the last round."""
    of = f"{fingerprint(pool)} {network}"
    if network:
        best = [run.values["best_s"][-1] for run in runs]
        chosen = [run.values[f"{metric}_s"][-1] for run in runs]
        return st.Ratio.network(of, best, chosen, runs[0].weight)
    return st.Ratio.mean(of, [run.values[metric][-1] for run in runs])


def table(
    found: dict[Cell, Run], model: str, budget: float, metric: str, schemes: Sequence[str]
) -> Table:
    """Of one model at one budget: a row a scheme."""
    here = [c for c in found if c.model == model and c.budget == budget]
    places = list(dict.fromkeys((c.pool, c.network) for c in here))
    by_scheme = {
        scheme: [
            ratio(
                [found[c] for c in here if (c.pool, c.network, c.scheme) == (*place, scheme)],
                *(metric, *place),
            )
            for place in places
        ]
        for scheme in schemes
    }
    means = {scheme: st.estimate(ratios) for scheme, ratios in by_scheme.items()}
    against = rivals_of(means)
    rows = []
    for scheme, ratios in by_scheme.items():
        row: list[object] = [PAPER.get(scheme, scheme)]
        row += [st.estimate([r]) for r in ratios] if len(places) > 1 else []
        row.append(means[scheme])
        row += [
            st.difference(ratios, by_scheme[other]).signed if other != scheme else ""
            for other in against
        ]
        rows.append(row)
    names = names_of(places) if len(places) > 1 else []
    head = ["scheme", *names, "mean", *(f"against {other}" for other in against)]
    return f"{METRICS[metric]}, {model}, {budget:.1%} of the labels", head, rows


def rivals_of(means: Mapping[str, st.Estimate]) -> list[str]:
    """What the schemes are paired with: `random`, and the best baseline if it is another."""
    there = [scheme for scheme in BASELINES if scheme in means]
    best = max(there, key=lambda scheme: means[scheme].value, default="")
    return [scheme for scheme in dict.fromkeys(("random", best)) if scheme in means]


def names_of(places: Sequence[tuple[str, str]]) -> list[str]:
    """Of each pool or network; of both where a network is held out of more than one pool."""
    names = [network or Path(pool).name for pool, network in places]
    if len(set(names)) == len(names):
        return names
    return [f"{name}, {Path(pool).name}" for name, (pool, _) in zip(names, places, strict=True)]


def study() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", help="default: xgb mlp; small: xgb")
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES))
    parser.add_argument("--budgets", nargs="+", type=float, help="shares; small: 0.05 0.1")
    parser.add_argument("--metrics", nargs="+", choices=METRICS)
    parser.add_argument("--networks", nargs="+", default=[], help="hold these out, one at a time")
    parser.add_argument("--network-tasks", type=Path, help="JSON of each network's tasks")
    options = parser.parse_args()
    small = options.scale == "small"
    options.models = options.models or (["xgb"] if small else ["xgb", "mlp"])
    options.budgets = options.budgets or ([0.05, 0.1] if small else [0.01, 0.025, 0.05, 0.1])
    metrics = options.metrics or (BY_NETWORK if options.networks else ("top1", "halves"))
    there = BY_NETWORK if options.networks else BY_PROGRAM
    if other := [metric for metric in metrics if metric not in there]:
        parser.error(f"expected metrics of {', '.join(there)}, got {other[0]}")
    publish_tables(options, cells(options), metrics, "table1")


def publish_tables(
    options: Namespace, wanted: Sequence[Cell], metrics: Sequence[str], name: str
) -> None:
    """Run the cells, and show a table for each model, budget and metric."""
    networks = Networks(options.out, getattr(options, "network_tasks", None))
    found = run_all(wanted, options, networks)
    if found is None:
        return
    held_out = bool(wanted[0].network)
    name += "-networks" if held_out else ""
    merged(found, options.out, name)
    schemes = list(dict.fromkeys(c.scheme for c in wanted))
    tables = [
        table(found, model, budget, metric, schemes)
        for model in options.models
        for budget in options.budgets
        for metric in metrics
    ]
    tasks = sum({(c.pool, c.network): len(r.tasks) for c, r in found.items()}.values())
    words = (
        f"{options.seeds} seeds, {tasks} tasks, {wanted[0].rounds} rounds"
        f"{f', {wanted[0].programs} programs a task' if wanted[0].programs else ''}; "
        + (
            "one network held out at a time, latency-weighted."
            if held_out
            else "a quarter of each task's programs held out."
        )
    )
    title = "Table 1, networks held out" if held_out else "Table 1" if name == "table1" else name
    publish(options.out, name, title, words, tables)


if __name__ == "__main__":
    main(study)
