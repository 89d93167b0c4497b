"""The node tests of the ``onnx`` package: what of ONNX is imported, and whether it is right.

    python experiments/onnx_node_tests.py [--out RESULTS.jsonl] [--only TEXT] [--page PAGE.md]

Each test is a model of an operator, with inputs and the outputs that they should give. It is read
and compiled untuned as `balto tune` does it, run on those inputs, and compared within the tolerance
of tunings. Every test ends as one of `VERDICTS`. Resumable: what RESULTS.jsonl has is not run
again; another version of TVM or balto wants another file. Writes the page when all have run.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import tempfile
import textwrap
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for our workers

from balto.data.files import write_atomically
from balto.data.target import LLVM, Target
from balto.deploy.compile import Network
from balto.errors import InputError, WorkerError
from balto.text import one_line
from balto.workers.calls import call_about
from balto.workers.worker import Worker

#: Right; refused in one line when it is read or compiled; wrong; what must not be: an error when it
#: runs, an error that is no line, no end. Left out: not all of its inputs and outputs are tensors.
VERDICTS = ("right", "refused", "wrong", "fails", "left out")
PAGE = Path(__file__).parent.parent / "docs" / "notes" / "onnx-operators.md"
#: Seconds that reading, compiling or running one test may take.
_DEADLINE_S = 120.0
#: Inputs after the first with no more numbers are made constants.
_SHORT = 8
_HEAD = """# ONNX operators

`.venv/bin/python experiments/onnx_node_tests.py` reads the node tests of the `onnx` package
({onnx}), compiles each untuned as `balto tune` does, runs it on the inputs that come with the test,
and compares what comes out with the outputs that come with it, within the tolerance of tunings, or
that of the test, as some outputs are rounded (TVM {tvm}, {tests} tests, by the operator that they
test). Inputs after the first of up to eight numbers, such as axes, shapes and sizes, are made
constants, which they are in networks.

*Refused* is one line that says why, before anything is tuned. *Wrong* are outputs that differ:
ONNX's reference evaluator notices most of them, and `balto tune` then deploys nothing. *Fails* is
an error when it runs, or no end. *Left out* are tests of sequences, of texts, and of numbers that
NumPy does not have.
"""


@dataclass(frozen=True)
class Result:
    """What became of a test."""

    test: str
    operator: str
    verdict: str
    reason: str
    seconds: float


def tests() -> list[Any]:
    """The node tests, as `onnx` makes them; those that spell an operator out in others last."""
    from onnx.backend.test.case.node import collect_testcases

    np.random.seed(0)  # noqa: NPY002  # what it draws its inputs with
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    return sorted(cases, key=lambda case: ("_expanded" in case.name, case.name))


def operators_of(cases: Sequence[Any]) -> dict[str, str]:
    """The operator that each test tests."""
    last = {case.name: case.model.graph.node[-1].op_type for case in cases}
    return {name: last.get(name.partition("_expanded")[0], last[name]) for name in last}


def arrays(values: Sequence[Any]) -> list[Any] | None:
    """The inputs or outputs of a test; None if one is no tensor of numbers that NumPy has."""
    from onnx import TensorProto, numpy_helper

    if any(value is None or isinstance(value, list) for value in values):
        return None  # an optional value, a sequence
    made = [
        numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
        for value in values
    ]
    known = all(each.dtype.kind in "biuf" and each.dtype.isbuiltin == 1 for each in made)
    return made if known else None


def run(
    library: Path,
    target: Target,
    given: Sequence[Any],
    expected: Sequence[Any],
    own: Mapping[str, float],
) -> list[str]:
    """What is wrong with the outputs; `own` is the test's own tolerance. In a worker."""
    from balto.deploy.machine import load, outputs
    from balto.deploy.operators import distance

    got = outputs(load(library, target)["main"], given, target)
    if len(got) != len(expected):
        return [f"{len(got)} outputs, expected {len(expected)}"]
    problems = []
    for number, (a, b) in enumerate(zip(got, expected, strict=True)):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            found, wanted = f"{a.dtype}{list(a.shape)}", f"{b.dtype}{list(b.shape)}"
            problems.append(f"output {number} is {found}, expected {wanted}")
        elif not (error := distance(a, b)) <= 1 and not np.allclose(a, b, own["rtol"], own["atol"]):
            problems.append(f"output {number} is {error:.3g} tolerances off")
    return problems


def with_constants(model: Any, given: Sequence[Any]) -> tuple[bytes, list[Any]]:
    """A test's model, its short inputs after the first made constants, and the other inputs."""
    from onnx import ModelProto, numpy_helper

    made = ModelProto.FromString(model.SerializeToString())
    inputs = list(zip(made.graph.input, given, strict=True))
    kept = [each for k, each in enumerate(inputs) if not (k and _is_short(each[1]))]
    made.graph.initializer.extend(
        numpy_helper.from_array(array, known.name)
        for k, (known, array) in enumerate(inputs)
        if k and _is_short(array)
    )
    del made.graph.input[:]
    made.graph.input.extend(known for known, _ in kept)
    return made.SerializeToString(), [array for _, array in kept]


def _is_short(array: Any) -> bool:
    return bool(array.ndim <= 1 and array.size <= _SHORT)


def verdict(case: Any, worker: Worker, folder: Path) -> tuple[str, str]:
    """How a test ends, and why."""
    given, expected = map(arrays, case.data_sets[0])
    if given is None or expected is None:
        return "left out", "not all inputs and outputs are tensors of numbers"
    model, library = folder / f"{case.name}.onnx", folder / f"{case.name}.so"
    content, given = with_constants(case.model, given)
    model.write_bytes(content)
    spec = str(model)
    try:
        network: Network = call_about(
            *(spec, worker, "balto.deploy.compile:read", spec, LLVM), deadline_s=_DEADLINE_S
        )
        target = worker.call("balto.tasks.devices:resolve", LLVM, deadline_s=_DEADLINE_S)
        compiling = "balto.deploy.compile:compile_network"
        call_about(*(spec, worker, compiling, spec, target, {}, library), deadline_s=_DEADLINE_S)
        if len(network.inputs) != len(given):
            return "wrong", f"takes {len(network.inputs)} of {len(given)} inputs"
        own = {"rtol": case.rtol, "atol": case.atol}
        problems = worker.call(
            *("experiments.onnx_node_tests:run", library, target, given, expected, own),
            deadline_s=_DEADLINE_S,
        )
    except InputError as error:
        return "refused", one_line(str(error).replace(spec, "it"))
    except WorkerError as error:
        return "fails", one_line(f"{type(error).__name__}: {error}")
    finally:
        library.unlink(missing_ok=True)
        model.unlink()
    return ("wrong", "; ".join(problems)) if problems else ("right", "")


def run_all(cases: Sequence[Any], workers: int) -> Iterator[tuple[str, str, str, float]]:
    """Name, verdict, reason and seconds of each test, as they come."""
    left: queue.SimpleQueue[Any] = queue.SimpleQueue()
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for case in cases:
        left.put(case)

    def work() -> None:
        with Worker() as worker, tempfile.TemporaryDirectory(prefix="balto-") as folder:
            while True:
                try:
                    case, began = left.get_nowait(), time.perf_counter()
                except queue.Empty:
                    return
                how, why = verdict(case, worker, Path(folder))
                done.put((case.name, how, why, round(time.perf_counter() - began, 2)))

    with ThreadPoolExecutor(workers) as threads:
        working = [threads.submit(work) for _ in range(workers)]
        for _ in cases:
            while done.empty():
                for each in working:
                    if each.done():
                        each.result()  # raises what a thread raised
                time.sleep(0.05)
            yield done.get()


def page(results: Sequence[Result]) -> str:
    """The table by operator, and why tests are refused, wrong or fail."""
    from importlib.metadata import version

    counted = Counter((each.operator, each.verdict) for each in results)
    names = sorted({each.operator for each in results}, key=str.lower)
    rows = [[name, *(counted[name, how] or "-" for how in VERDICTS)] for name in names]
    total = Counter(each.verdict for each in results)
    rows.append(["**all**", *(total[how] for how in VERDICTS)])
    head = _HEAD.format(onnx=version("onnx"), tvm=version("apache-tvm"), tests=len(results))
    lines = ["\n\n".join(textwrap.fill(part, 100) for part in head.split("\n\n")), ""]
    lines += [_row(["operator", *VERDICTS]), _row(["--"] * (1 + len(VERDICTS)))]
    lines += map(_row, rows)
    for how in ("wrong", "fails"):
        those = sorted((each for each in results if each.verdict == how), key=lambda e: e.test)
        if those:
            lines += ["", f"## Which are {how}" if how == "wrong" else "## Which fail", ""]
            lines += [_row(["test", "why"]), _row(["--", "--"])]
            lines += [_row([f"`{e.test}`", _cell(e.reason)]) for e in those]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cell(text: str) -> str:
    return text[:160].replace("|", "/").replace("<", "‹").replace("`", "'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("onnx-node-tests.jsonl"))
    parser.add_argument("--only", default="", help="tests whose names have this in them")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    settings = parser.parse_args()
    known: dict[str, Result] = {}
    if settings.out.exists():
        lines = settings.out.read_text(encoding="utf-8").splitlines()
        known = {each["test"]: Result(**each) for each in map(json.loads, lines)}
    cases = [case for case in tests() if settings.only in case.name]
    left, operators = [c for c in cases if c.name not in known], operators_of(cases)
    with settings.out.open("a", encoding="utf-8") as out:
        for number, (name, how, why, seconds) in enumerate(run_all(left, settings.workers), 1):
            known[name] = Result(name, operators[name], how, why, seconds)
            out.write(json.dumps(asdict(known[name])) + "\n")
            out.flush()
            if how in ("wrong", "fails"):
                print(f"{number} of {len(left)}: {name}: {how}, {why}", flush=True)
    results = [known[case.name] for case in cases]
    print(dict(Counter(each.verdict for each in results)))
    if not settings.only:
        with write_atomically(settings.page) as partial:
            partial.write_text(page(results), encoding="utf-8")
        print(settings.page)


if __name__ == "__main__":
    main()
