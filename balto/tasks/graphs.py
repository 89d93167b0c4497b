"""From a network or a model file to TVM modules, one a task. Runs in a worker with TVM and torch.

torch modules go through ``torch.export``, ONNX files through TVM's own front end; both end as a
Relax function whose weights are inputs. What depends on weights alone (layout changes of a
weight, say) is lifted out, since a deployment computes it once.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from balto.data.files import one_line, reading
from balto.errors import InputError

#: The paper's networks (section 4.2); `balto.tasks.networks` builds them.
NETWORKS = ("resnet-50", "mobilenet-v2", "resnext-50", "bert-tiny", "bert-base")
SUFFIXES = (".onnx", ".pt2")


def check(spec: str) -> None:
    """Refuse what is neither a known network nor a model file. Needs neither TVM nor torch.

    Raises:
        InputError: with the names that would be right.
    """
    if spec in NETWORKS:
        return
    if suffix(spec) not in SUFFIXES:
        raise InputError(
            f"no network is called {one_line(spec)!r}; expected {', '.join(NETWORKS)}, "
            f"or a path that ends in {' or '.join(SUFFIXES)}"
        )
    with reading(one_line(spec), InputError):
        there = Path(spec).is_file()
    if not there:
        raise InputError(f"expected a model file, found none at {one_line(spec)}")


def suffix(spec: str) -> str:
    """The ending of a path, in lower case."""
    return Path(spec).suffix.lower()


def relax_module(spec: str) -> Any:
    """A network as a Relax ``IRModule`` whose ``main`` takes the weights as inputs.

    Raises:
        InputError: the model file cannot be read, or has an operator that TVM does not know.
    """
    check(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn about their own internals
        try:
            return _from_onnx(spec) if suffix(spec) == ".onnx" else _from_torch(spec)
        except Exception as error:
            if spec in NETWORKS:
                raise
            lines = [line for line in str(error).splitlines() if line.strip()]
            reason = f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"
            raise InputError(f"cannot read {spec} as a model: {reason}") from error


def _from_torch(spec: str) -> Any:
    import torch
    from tvm import relax
    from tvm.relax.frontend.torch import from_exported_program

    with torch.no_grad():
        if spec in NETWORKS:
            from balto.tasks.networks import build

            network, example = build(spec)
            program = torch.export.export(network, example)
        else:
            program = torch.export.load(spec)
        module = from_exported_program(program, keep_params_as_input=True)
    return relax.frontend.detach_params(module)[0]


def _from_onnx(spec: str) -> Any:
    import onnx
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    model = onnx.load(spec)
    onnx.checker.check_model(model)
    _leave_weights_out_of_inputs(model)
    module = from_onnx(model, keep_params_in_input=True)
    return relax.frontend.detach_params(module)[0]


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


def task_modules(module: Any, target: Any) -> list[tuple[str, int, Any]]:
    """The tasks of a Relax module: ``(fused operator's name, weight, IRModule)`` each."""
    import tvm
    from tvm import relax
    from tvm.s_tir import meta_schedule as ms

    with target:
        module = relax.transform.DecomposeOpsForInference()(module)
        module = relax.transform.LiftTransformParams()(module)
        kept = {
            var: function
            for var, function in module.functions.items()
            if not var.name_hint.endswith("transform_params")
        }
        module = relax.get_pipeline("zero")(tvm.IRModule(kept))
    return [
        (str(task.task_name), int(task.weight), task.dispatched[0])
        for task in ms.relax_integration.extract_tasks(module, target)
    ]
