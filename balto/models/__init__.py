"""Cost models: how fast a program is, relative to the best of its task (paper 2.2)."""

from balto.models.base import CostModel
from balto.models.file import ModelCard, load, read_card, save
from balto.models.registry import MODELS, create

__all__ = ["MODELS", "CostModel", "ModelCard", "create", "load", "read_card", "save"]
