"""A torch module as a file that everything else reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from balto.data.files import one_line
from balto.errors import InputError
from balto.extras import needed_for
from balto.tasks.networks import NETWORKS


@contextmanager
def as_spec(
    network: Any, example_inputs: Sequence[Any] | Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """What stands for a network everywhere else, and its name; a torch module is exported.

    Args:
        network: a built-in network's name, the path of a model file, or a torch module.
        example_inputs: of a torch module, for ``torch.export``: a tuple, or keyword arguments by
            name.

    Yields:
        A built-in network's name or a path, which is there until the context ends; and a name.

    Raises:
        InputError: If there are no example inputs for a torch module, or it cannot be exported.
    """
    if isinstance(network, str | Path):
        spec = str(network)
        yield (spec, spec) if spec in NETWORKS else (spec, Path(spec).name)
        return
    if example_inputs is None:
        raise InputError("a torch module needs example_inputs, a tuple of tensors")
    keywords = dict(example_inputs) if isinstance(example_inputs, Mapping) else None
    arguments = () if isinstance(example_inputs, Mapping) else tuple(example_inputs)
    with needed_for("a torch module"):
        import torch

    try:
        with torch.no_grad(), _in_evaluation(network):
            program = torch.export.export(network, arguments, keywords)
    except Exception as error:
        raise InputError(f"torch.export cannot export the module: {one_line(error)}") from error
    with tempfile.TemporaryDirectory(prefix="balto-") as exported:
        path = Path(exported) / "network.pt2"
        torch.export.save(program, path)
        yield str(path), type(network).__name__


@contextmanager
def _in_evaluation(module: Any) -> Iterator[None]:
    """Each submodule in evaluation mode, then in the mode that it was in."""
    before = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in before:
            each.training = training
