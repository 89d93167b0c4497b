"""Where a network came from: what it computes there, and how fast. Runs in a worker.

Outputs are compared with PyTorch's for built-in networks and ``.pt2`` files, for ONNX files with
ONNX Runtime's, or with those of ONNX's own reference evaluator, which may take minutes, where ONNX
Runtime is not installed or does not run the file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.errors import InputError
from balto.tasks.networks import NETWORKS, is_onnx
from balto.tasks.read_onnx import onnx_model
from balto.tasks.read_torch import exported_program, of_leaves
from balto.text import one_line

PYTORCH, ONNX_RUNTIME = "PyTorch", "ONNX Runtime"
EVALUATOR = "ONNX's reference evaluator"
#: Softmax and LogSoftmax mean something else before version 13 of ONNX's operators. So does
#: Hardmax, but ONNX's converter leaves it as it is: networks with an old one are refused. Before
#: 14 the evaluator normalises batches as in training.
_OPERATORS = 14


def from_torch(spec: str) -> bool:
    """Whether a network is a torch module."""
    return not is_onnx(spec)


def expected(spec: str, arrays: Sequence[NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
    """What a network computes: arrays in, arrays out; and who says so.

    Raises:
        InputError: If nothing that is installed runs the network.
    """
    of_onnx = {ONNX_RUNTIME: _in_onnx_runtime, EVALUATOR: evaluated}
    refused = []
    for name, run in ({PYTORCH: _in_pytorch} if from_torch(spec) else of_onnx).items():
        try:
            return name, run(spec, arrays)
        except ModuleNotFoundError:
            refused.append(f"{name} is not installed")
        except Exception as error:
            refused.append(f"{name}: {one_line(error)}")
    raise InputError(
        f"the outputs of {spec} cannot be checked, since nothing runs it: {'; '.join(refused)}"
    )


def _in_pytorch(spec: str, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What PyTorch computes."""
    import torch
    from torch.utils import _pytree

    with torch.no_grad():
        got = _module(spec)(*map(_as_torch, arrays))
    return [_as_numpy(each) for each in _pytree.tree_leaves(got)]


def evaluated(spec: str, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What ONNX's reference evaluator computes.

    Raises:
        InputError: If ONNX cannot convert the model to what its evaluator reads.
    """
    from onnx.reference import ReferenceEvaluator

    model = _as_evaluated(onnx_model(spec), spec)
    given = dict(zip(_inputs(model), arrays, strict=True))
    return [np.asarray(each) for each in ReferenceEvaluator(model).run(None, given)]


def _in_onnx_runtime(spec: str, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What ONNX Runtime computes, operator by operator as the file has them, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(spec, options, ["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    given = dict(zip(names, arrays, strict=True))
    return [np.asarray(each) for each in session.run(None, given)]


def _as_torch(array: NDArray[Any]) -> Any:
    import torch

    if array.dtype.name == "bfloat16":  # NumPy's is not torch's
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _as_numpy(tensor: Any) -> NDArray[Any]:
    import torch

    tensor = tensor.contiguous()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        found: NDArray[Any] = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    else:
        found = tensor.numpy()
    return found


@contextmanager
def runtime(
    spec: str, arrays: Sequence[NDArray[Any]], threads: int, device: str = "cpu"
) -> Iterator[tuple[str, Callable[[], object]] | None]:
    """What runs a network where it came from, as people run it: PyTorch eager, or ONNX Runtime.

    On a GPU PyTorch computes in float32 as the tuned network does, not in the shorter TF32.

    Args:
        spec: network or model file.
        arrays: its inputs.
        threads: to run it with; PyTorch's number of them is restored afterwards.
        device: ``cpu`` or ``cuda``.

    Yields:
        The runtime's name, and what runs the network once; None where it is not installed, or not
        for the device.
    """
    if not from_torch(spec):
        run = _timed_in_onnx_runtime(spec, arrays, threads, device)
        yield None if run is None else (ONNX_RUNTIME, run)
        return
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        yield None
        return
    module, tensors = _module(spec), [_as_torch(each).to(device) for each in arrays]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            module = module.to(device)
            yield PYTORCH, functools.partial(_run, module, tensors, device)
    finally:
        torch.set_num_threads(before)
        module.to("cpu")


def _run(module: Any, tensors: Sequence[Any], device: str) -> Any:
    import torch

    outputs = module(*tensors)
    if device == "cuda":
        torch.cuda.synchronize()
    return outputs


def _timed_in_onnx_runtime(
    spec: str, arrays: Sequence[NDArray[Any]], threads: int, device: str
) -> Callable[[], object] | None:
    """Runs an ONNX file once; None where ONNX Runtime for the device is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = onnx_model(spec)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, [provider])
    given = dict(zip(_inputs(model), arrays, strict=True))
    return lambda: session.run(None, given)


def _inputs(model: Any) -> list[str]:
    return [each.name for each in model.graph.input]


@functools.lru_cache(maxsize=1)
def _module(spec: str) -> Any:
    if spec in NETWORKS:
        from balto.tasks.zoo import build

        return build(spec)[0]
    return of_leaves(exported_program(spec))


def _as_evaluated(model: Any, spec: str) -> Any:
    """A model whose operators the reference evaluator reads as they are meant.

    It has one softmax for all versions, that of 13: along one axis. Before, a softmax was over all
    axes from the given one on. A batch normalisation of before 14 it takes for one of training, if
    it has a momentum, which it has by default, and mixes the batch's own mean into the stored one.

    Raises:
        InputError: ONNX cannot convert the model.
    """
    version = next(
        (each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), _OPERATORS
    )
    if version >= _OPERATORS:
        return model
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, _OPERATORS)
    except Exception as error:
        raise InputError(
            f"ONNX cannot convert {spec} from version {version} of its operators to {_OPERATORS}, "
            f"which its reference evaluator needs: {one_line(error)}; export it for {_OPERATORS}"
        ) from error
