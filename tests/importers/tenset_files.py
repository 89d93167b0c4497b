"""Writes files as TenSet's code does: classes of its module paths, pickled by `pickle` itself.

TenSet's fork of TVM is not at hand, and its data set is 50 GB. What is pickled follows from its
public sources, though: ``python/tvm/auto_scheduler/dataset.py`` (`LearningTask`, `Dataset`, the
three dictionaries of a feature cache), ``feature.py`` (arrays of objects, zeros for a lowering that
failed), ``scripts/dump_network_info.py`` (``*.task.pkl``) and TVM's ``runtime/object.py`` (how its
objects and texts are pickled). The classes here have those modules, names, states and ways to be
pickled, and nothing else of theirs. Run it in a process of its own: it puts a `tvm` in the place of
the one that is installed.

    python tests/importers/tenset_files.py FOLDER
"""

from __future__ import annotations

import json
import pickle
import sys
import types
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np

MODULES = (
    *("tvm", "tvm.runtime", "tvm.runtime.object", "tvm.runtime.container", "tvm.target"),
    *("tvm.target.target", "tvm.auto_scheduler", "tvm.auto_scheduler.dataset"),
    *("tvm.auto_scheduler.search_task", "tvm.auto_scheduler.compute_dag"),
)
TARGET = "llvm -keys=cpu -link-params=0 -model=platinum-8272"


def place(module, made, name=None):
    """Put a class or function into a module, as if it had been written there."""
    made.__module__ = module
    made.__qualname__ = name or made.__name__
    setattr(sys.modules[module], name or made.__name__, made)
    return made


for each in MODULES:
    sys.modules[each] = types.ModuleType(each)


def _new_object(cls):
    return cls.__new__(cls)


place("tvm.runtime.object", _new_object)


class Object:
    """TVM's object: its state is the JSON that TVM makes of it."""

    def __reduce__(self):
        return (_new_object, (type(self),), self.__getstate__())

    def __getstate__(self):
        return {"handle": json.dumps({"root": 1, "of": type(self).__name__})}


class ComputeDAG(Object):
    def __getstate__(self):
        return {"tensors": json.dumps({"root": 3})}


class Target(Object):
    pass


class HardwareParams(Object):
    pass


class SearchTask(Object):
    def __init__(self, workload_key):
        self.workload_key = workload_key

    def __getstate__(self):
        return {
            "compute_dag": ComputeDAG(),
            "workload_key": self.workload_key,
            "target": Target(),
            "target_host": None,
            "hardware_params": HardwareParams(),
            "layout_rewrite_option": 0,
            "task_input_names": [],
        }


class String(str):
    """TVM's text, which brings the object that it came from."""

    __slots__ = ["__tvm_object__"]


LearningTask = namedtuple("LearningTask", ["workload_key", "target"])


class Dataset:
    def __init__(self, features, throughputs, min_latency):
        self.raw_files = ["dataset/measure_records/platinum-8272/([1],llvm).json"]
        self.features = OrderedDict(features)
        self.throughputs = OrderedDict(throughputs)
        self.min_latency = min_latency

    def __getstate__(self):
        return self.raw_files, self.features, self.throughputs, self.min_latency, 0.1


place("tvm.runtime.object", Object)
place("tvm.runtime.container", String)
place("tvm.target.target", Target)
place("tvm.auto_scheduler.compute_dag", ComputeDAG)
for made in (SearchTask, HardwareParams):
    place("tvm.auto_scheduler.search_task", made)
for made in (LearningTask, Dataset):
    place("tvm.auto_scheduler.dataset", made)


def key(number, text=str):
    workload = json.dumps([f"{number:032x}", number, 7, 7, 512])
    if text is String:
        made = String(workload)
        made.__tvm_object__ = Object()
        workload = made
    return LearningTask(workload, TARGET)


def program(rng, stores):
    return rng.normal(size=(stores, 164)).astype(np.float32).astype(np.float64)


def of_objects(programs):
    """As `unpack_feature` does it: three dimensions where all have equally many stores."""
    if len({len(p) for p in programs}) == 1:
        return np.array(programs, dtype=object)
    made = np.empty(len(programs), dtype=object)
    for k, each in enumerate(programs):
        made[k] = each
    return made


def contents(text=str):
    """Features, throughputs and smallest latencies of four tasks, and what they say."""
    rng = np.random.default_rng(0)
    ragged = [program(rng, s) for s in (2, 3, 2, 4, 1, 3, 2)]
    uniform = [program(rng, 3) for _ in range(6)]
    failing = [program(rng, 2), np.zeros((1, 164)), program(rng, 2), program(rng, 3)]
    # What `load_task_data` leaves when an array of three dimensions and a ragged one are joined.
    mixed = [*np.array(uniform[:2], dtype=object), program(rng, 2), program(rng, 1)]
    programs = [ragged, uniform, failing, mixed]
    throughputs = [rng.uniform(0.1, 1, len(p)) for p in programs]
    throughputs[2][[1, 2, 3]] = [0.5, 1e-14, 0.0]
    keys = [key(k, text) for k in range(4)]
    features = {k: of_objects(p) for k, p in zip(keys, programs, strict=True)}
    latency = {k: np.float64(1e-3 * (n + 1)) for n, k in enumerate(keys)}
    return features, dict(zip(keys, throughputs, strict=True)), latency


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for protocol in (2, 3, 4, 5):
        parts = contents()
        name = f"cache{protocol}"
        (folder / f"{name}.feature_cache").write_bytes(pickle.dumps(parts, protocol=protocol))
        data = pickle.dumps(Dataset(*contents(String)), protocol=protocol)
        (folder / f"dataset{protocol}.pkl").write_bytes(data)
        if protocol <= 3:  # names are lines of text here, and those of NumPy 1 were others
            old = data.replace(b"numpy._core.", b"numpy.core.")
            (folder / "dataset_of_numpy_1.pkl").write_bytes(old)
    features, throughputs, latency = contents()
    says = {
        k.workload_key: {
            "rows": [np.asarray(p, np.float64).tolist() for p in features[k]],
            "throughputs": throughputs[k].tolist(),
            "latency": float(latency[k]),
        }
        for k in features
    }
    (folder / "says.json").write_text(json.dumps(says))
    info = folder / "network_info"
    info.mkdir(exist_ok=True)
    for number, weights in enumerate(([3, 1], [2])):
        tasks = [SearchTask(key(k, String).workload_key) for k in range(len(weights))]
        name = f"((resnet_50,[(1,3,22{number},224)]),llvm).task.pkl"
        (info / name).write_bytes(pickle.dumps((tasks, weights)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
