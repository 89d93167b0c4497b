"""ONNX files that are not ours: the light models of the ``onnx`` package, tuned and verified.

    python experiments/onnx_models.py [--trials 32] [--out WORK] [MODEL.onnx ...]

Every file goes through ``balto tasks`` and ``balto tune``: import, tasks, a few trials, compile,
and the comparison with ONNX Runtime, or ONNX's reference evaluator where that does not run it.
Prints a Markdown table, ONNX Runtime beside it where that runs it; what fails has its reason in the
last column. Resumable, like every tuning.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import balto
from balto.deploy import reference
from balto.tune.network import tune_network


def light_models() -> list[Path]:
    """Those that come with the ``onnx`` package; their weights are all equal numbers."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return sorted(folder.glob("light_*.onnx"))


def row(path: Path, trials: int, out: Path) -> str:
    try:
        tasks = balto.extract_tasks([str(path)]).tasks
    except balto.BaltoError as error:
        return f"| {path.stem} | - | - | - | - | - | - | {error} |"
    flop = sum(task.flop * task.weight for task in tasks)
    head = f"| {path.stem} | {len(tasks)} | {flop / 1e9:.2f} G"
    try:
        done = tune_network(path, trials=trials, out=out / path.stem, store="none")
    except balto.BaltoError as error:
        return f"{head} | - | - | - | - | {error} |"
    verified = f"yes, {done.error:.2g} of the tolerance"
    if done.wrong:
        verified += f", without {', '.join(done.wrong)}"
    runtime_s = done.reference.get(reference.ONNX_RUNTIME)
    beside = "-" if runtime_s is None else f"{1e3 * runtime_s:,.1f} ms"
    return (
        f"{head} | {done.trials} | {1e3 * done.untuned_s:,.1f} ms | "
        f"{1e3 * done.latency_s:,.1f} ms | {beside} | {verified} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("onnx-models"))
    settings = parser.parse_args()
    head = (
        "| model | tasks | FLOP | trials | untuned | tuned | ONNX Runtime | verified, or why not |"
    )
    print(f"{head}\n|---|---|---|---|---|---|---|---|", flush=True)
    for path in settings.models or light_models():
        print(row(path, settings.trials, settings.out), flush=True)


if __name__ == "__main__":
    main()
