"""Which cost models there are; their modules are imported when asked for."""

from __future__ import annotations

from balto.models.base import CostModel
from balto.registry import Registry

#: Cost models by name. Others plug in by an entry point in the group ``balto.models``.
MODELS: Registry[CostModel] = Registry(
    CostModel,  # type: ignore[type-abstract]
    "cost model",
    {
        "xgb": "balto.models.xgb:XGB",
        "xgb-tenset": "balto.models.pack_sum:PackSumXGB",
        "mlp": "balto.models.mlp:MLP",
        "mlp-tenset": "balto.models.mlp:TenSetMLP",
        "mlp-tenset-rmse": "balto.models.mlp:TenSetMLPRegression",
        "lstm": "balto.models.lstm:LSTM",
    },
    "balto.models",
    {"torch": "balto[torch]", "safetensors": "balto[torch]"},
)


def create(model: str | CostModel, seed: int = 0) -> CostModel:
    """A new, untrained cost model from its name and hyper-parameters, ``xgb:max_depth=8``.

    A model that is given as an object is returned as it is, with its own seed.

    Args:
        model: a name, or an object.
        seed: of a model that is given by its name.

    Returns:
        The model.

    Raises:
        InputError: If there is no such model or hyper-parameter, a library that it needs is not
            installed, or `model` is neither a name nor a model.

    Examples:
        >>> balto.create_model("xgb:max_depth=4", seed=1)
        XGB(seed=1, max_depth=4)
    """
    return MODELS.of(model, seed=seed)
