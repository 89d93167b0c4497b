"""From a network or a model file to TVM modules, one a task. Runs in a worker with TVM and torch.

torch modules go through ``torch.export``, ONNX files through TVM's own front end; both end as a
Relax function whose weights are inputs. What depends on weights alone (layout changes of a
weight, say) is lifted out, since a deployment computes it once.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

from balto.data.files import reading
from balto.errors import InputError
from balto.extras import needed_for
from balto.tasks import archives
from balto.tasks.simplify import simplified
from balto.text import last_line, one_line

#: The paper's networks (section 4.2); `balto.tasks.zoo` builds them.
NETWORKS = ("lenet-5", "resnet-50", "mobilenet-v2", "resnext-50", "bert-tiny", "bert-base")
SUFFIXES = (".onnx", ".pt2")


def check(spec: str) -> None:
    """Refuse what is neither a known network nor a model file. Needs neither TVM nor torch.

    Raises:
        InputError: If `spec` is neither a known network nor a model file that is there.
    """
    if spec in NETWORKS:
        return
    if suffix(spec) not in SUFFIXES:
        raise InputError(
            f"no network is called {one_line(spec)!r}; expected {', '.join(NETWORKS)}, "
            f"or a path that ends in {' or '.join(SUFFIXES)}"
        )
    with reading(spec, InputError):
        there = Path(spec).is_file()
    if not there:
        raise InputError(f"expected a model file, found none at {one_line(spec)}")


def suffix(spec: str) -> str:
    """The ending of a path, in lower case."""
    return Path(spec).suffix.lower()


def relax_module(spec: str) -> Any:
    """A network as a Relax ``IRModule`` whose ``main`` takes the weights as inputs.

    Raises:
        InputError: If the model file cannot be read, or has an operator that TVM does not know.
    """
    return imported(spec)[0]


def imported(spec: str) -> tuple[Any, list[Any]]:
    """`relax_module`, and the weights as TVM tensors, in the order in which ``main`` takes them.

    Raises:
        InputError: If the model file cannot be read, or has an operator that TVM does not know.
    """
    check(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn about their own internals
        try:
            return _from_onnx(spec) if suffix(spec) == ".onnx" else _from_torch(spec)
        except InputError:
            raise
        except Exception as error:
            if spec in NETWORKS:
                raise
            reason = f"{type(error).__name__}: {last_line(error)}"
            raise InputError(f"cannot read {spec} as a model: {reason}") from error


def load_library(spec: str) -> None:
    """Import what reads a network: torch before TVM, which is otherwise told that there is none.

    Raises:
        InputError: If the library that reads such a network is not installed.
    """
    with needed_for(one_line(spec)):
        importlib.import_module("onnx" if suffix(spec) == ".onnx" else "torch")


def exported_program(spec: str) -> Any:
    """A built-in network or a ``.pt2`` file as torch's ``ExportedProgram``.

    Raises:
        InputError: If the file has anything in it that would run code when it is loaded.
    """
    import torch

    if spec not in NETWORKS:
        return archives.load(spec)
    from balto.tasks.zoo import build

    with torch.no_grad():
        return torch.export.export(*build(spec))


def onnx_model(spec: str) -> Any:
    """An ONNX file whose inputs are what changes from run to run."""
    import onnx

    model = onnx.load(spec)
    onnx.checker.check_model(model)
    _leave_weights_out_of_inputs(model)
    return model


def _from_torch(spec: str) -> tuple[Any, list[Any]]:
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    program = exported_program(spec)
    with torch.no_grad():
        return _detached(from_exported_program(program, keep_params_as_input=True))


def _from_onnx(spec: str) -> tuple[Any, list[Any]]:
    from tvm.relax.frontend.onnx import from_onnx

    return _detached(from_onnx(onnx_model(spec), keep_params_in_input=True))


def _detached(module: Any) -> tuple[Any, list[Any]]:
    from tvm import relax

    module, weights = relax.frontend.detach_params(module)
    return simplified(module), list(weights.get("main", []))


def _leave_weights_out_of_inputs(model: Any) -> None:
    """Let the inputs of an ONNX graph be what changes from run to run.

    Up to version 3 of its format a graph lists its weights among its inputs, in any order. TVM
    keeps that order and takes the first ones for the data: where a weight comes first, everything
    depends on weights alone, is lifted out, and no task is left.
    """
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [given for given in model.graph.input if given.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)


def tasks_of(fused: Any, target: Any) -> list[tuple[str, int, Any]]:
    """The tasks of what `lowered` made."""
    from tvm.s_tir import meta_schedule as ms

    return [
        (str(task.task_name), int(task.weight), task.dispatched[0])
        for task in ms.relax_integration.extract_tasks(fused, target)
    ]


def lowered(module: Any, target: Any, rewrite: Any = None) -> tuple[Any, Any]:
    """A Relax module in fused functions, and what depends on weights alone, in a module of its own.

    Args:
        module: of `imported`.
        target: TVM's own.
        rewrite: a pass to run on the network's operators first, such as one of layouts.

    Returns:
        A module whose ``main`` takes the inputs, then what the second one's
        ``main_transform_params`` makes of the weights.
    """
    import tvm
    from tvm import relax

    with target:
        module = relax.transform.DecomposeOpsForInference()(module)
        if rewrite is not None:
            module = rewrite(module)
        module = relax.transform.LiftTransformParams()(module)
        parts: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for var, function in module.functions.items():
            parts[var.name_hint.endswith("transform_params")][var] = function
        return relax.get_pipeline("zero")(tvm.IRModule(parts[0])), tvm.IRModule(parts[1])
