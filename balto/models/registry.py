"""Which cost models there are; their modules are imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from balto.errors import InputError
from balto.models.base import CostModel

#: Name on the command line -> where the class is.
MODELS = {
    "xgb": "balto.models.xgb:XGB",
    "xgb-tenset": "balto.models.pack_sum:PackSumXGB",
    "mlp": "balto.models.mlp:MLP",
    "mlp-tenset": "balto.models.mlp:TenSetMLP",
    "mlp-tenset-rmse": "balto.models.mlp:TenSetMLPRegression",
    "lstm": "balto.models.lstm:LSTM",
}


def model_class(name: str) -> type[CostModel]:
    """The class of a cost model.

    Raises:
        InputError: there is no such model, or a library it needs is not installed.
    """
    if name not in MODELS:
        raise InputError(f"expected a cost model ({', '.join(MODELS)}), got {name!r}")
    module, _, attribute = MODELS[name].partition(":")
    try:
        return cast(type[CostModel], getattr(import_module(module), attribute))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "balto":
            raise
        raise InputError(
            f"the cost model {name} needs {error.name}: pip install 'balto[torch]'"
        ) from error


def create(name: str, seed: int = 0) -> CostModel:
    """A new, untrained cost model.

    Raises:
        InputError: there is no such model, or a library it needs is not installed.
    """
    return model_class(name)(seed=seed)
