"""Built-in networks and ``.pt2`` files, as torch and as TVM have them. Runs in a worker."""

from __future__ import annotations

from typing import Any

from balto.tasks.networks import NETWORKS


def exported_program(spec: str) -> Any:
    """A built-in network or a ``.pt2`` file as torch's ``ExportedProgram``."""
    import torch

    if spec not in NETWORKS:
        return torch.export.load(spec)
    from balto.tasks.zoo import build

    with torch.no_grad():
        return torch.export.export(*build(spec))


def read_torch(spec: str) -> Any:
    """A network as TVM imports it: a Relax module, with its weights as attributes."""
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    program = exported_program(spec)
    with torch.no_grad():
        return from_exported_program(program, keep_params_as_input=True)
