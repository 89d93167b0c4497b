"""ONNX files, as ONNX and as TVM have them. Runs in a worker."""

from __future__ import annotations

from typing import Any


def onnx_model(spec: str) -> Any:
    """An ONNX file whose inputs are what changes from run to run."""
    import onnx

    model = onnx.load(spec)
    onnx.checker.check_model(model)
    _leave_weights_out_of_inputs(model)
    return model


def read_onnx(spec: str) -> Any:
    """A file as TVM imports it: a Relax module, with its weights as attributes."""
    from tvm.relax.frontend.onnx import from_onnx

    return from_onnx(onnx_model(spec), keep_params_in_input=True)


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
