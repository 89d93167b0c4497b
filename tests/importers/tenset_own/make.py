"""Makes `dataset.pkl` and the feature caches beside it with TenSet's own Python.

What is called is ``make_dataset_from_log_file`` of a checkout of TenSet, which reads logs, unpacks
features and pickles all of it. TVM's C++ below it is stood in for: records are read as JSON, and
features are made-up numbers in the packed form that ``unpack_feature`` takes.

    pip install numpy==1.26.4 tqdm
    python tests/importers/tenset_own/make.py CHECKOUT_OF_TENSET

CI has no TenSet, so the files are kept. `README.md` beside this says with what they were made.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
import tempfile
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TARGET = "llvm -keys=cpu -link-params=0 -model=platinum-8272"
VECTOR = 164
#: The logs, and of each program in them: its task, its stores (0: it could not be lowered), costs.
LOGS = {
    "first.json": [
        *((0, 2, [2e-3, 1e-3]), (0, 3, [4e-3]), (0, 2, None), (0, 0, [8e-3])),
        *((1, 2, [1e-3]), (1, 2, [5e-4]), (1, 2, [7e-4])),
    ],
    # Of a task whose programs have equally many stores, more come that have not.
    "second.json": [(1, 1, [2e-4]), (1, 3, [9e-4]), (2, 4, [3e-3]), (2, 4, [6e-3])],
}


def record(task, stores, costs):
    """A line of a log; the stores, which C++ would find, stand in the place of the steps."""
    key = json.dumps([f"{task:032x}", task + 1, 7, 7, 512])
    result = [costs or [1e10], 0 if costs else 4, 1.5, 1647464342]
    return {"i": [[key, TARGET], [[], stores]], "r": result, "v": "v0.6"}


def record_reader(filename):
    """``RecordReader``: inputs and results, as far as `dataset.py` looks at them."""
    for line in Path(filename).read_text().splitlines():
        read = json.loads(line)
        key, target = read["i"][0]
        task = types.SimpleNamespace(workload_key=key, target=target)
        yield types.SimpleNamespace(task=task, stores=read["i"][1][1]), read["r"]


def made_up(stores):
    """Features of some programs of one task in one log; none where lowering failed."""
    rng = np.random.default_rng(len(stores))
    return [rng.normal(size=(count, VECTOR)).astype("<f4") for count in stores]


def packed_features(inputs, results, _skipped, _buffers):
    """``GetPerStoreFeaturesFromMeasurePairs`` of one task: the flat array of `unpack_feature`."""
    rows = made_up([each.stores for each in inputs])
    costs = [np.mean(costs) if not error else 1e10 for costs, error, *_ in results]
    sizes = [r.size + 1 if len(r) else 0 for r in rows] + [len(rows), len(rows), 1]
    parts = [struct.pack("<i", len(rows)), struct.pack(f"<{len(sizes)}i", *sizes)]
    parts += [struct.pack("<f", len(r)) + r.tobytes() for r in rows if len(r)]
    parts.append((min(costs) / np.array(costs)).astype("<f4").tobytes())
    parts.append(np.zeros(len(rows), "<i4").tobytes() + struct.pack("<f", min(costs)))
    return bytearray(b"".join(parts))


def main(checkout):
    """Stand in for what is C++, run TenSet's function, keep what it wrote."""
    stand_ins = {
        "measure_record": {"RecordReader": record_reader},
        "measure": {"MeasureInput": object, "MeasureResult": object},
        "loop_state": {"State": object, "StateObject": object},
        "_ffi_api": {"GetPerStoreFeaturesFromMeasurePairs": packed_features},
    }
    package = types.ModuleType("tvm.auto_scheduler")
    package.__path__ = [str(checkout / "python" / "tvm" / "auto_scheduler")]
    sys.modules |= {"tvm": types.ModuleType("tvm"), package.__name__: package}
    for name, contents in stand_ins.items():
        module = types.ModuleType(f"{package.__name__}.{name}")
        module.__dict__.update(contents)
        sys.modules[module.__name__] = module
        setattr(package, name, module)
    dataset = importlib.import_module("tvm.auto_scheduler.dataset")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, programs in LOGS.items():
            lines = (json.dumps(record(*program)) for program in programs)
            Path(name).write_text("".join(f"{line}\n" for line in lines))
        dataset.make_dataset_from_log_file(list(LOGS), str(HERE / "dataset.pkl"), 2)
        for cache in Path(".dataset_cache").iterdir():
            (HERE / cache.name).write_bytes(cache.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
