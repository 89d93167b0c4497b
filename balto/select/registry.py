"""Which selectors there are; their modules are imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from balto.errors import InputError
from balto.select.base import Selector

#: Name on the command line -> where the class is.
SELECTORS = {
    "random": "balto.select.random:Random",
    "gsx": "balto.select.gsx:GSx",
    "gsy": "balto.select.gsy:GSy",
    "igs": "balto.select.igs:IGS",
    "alt": "balto.select.alt:ALT",
    "output-diversity": "balto.select.output_diversity:OutputDiversity",
    "biased-diversity": "balto.select.biased_diversity:BiasedDiversity",
    "balto": "balto.select.balto:Balto",
    "lcmd": "balto.select.lcmd:LCMD",
    "biased-lcmd": "balto.select.biased_lcmd:BiasedLCMD",
}


def get(name: str) -> Selector:
    """The selector of that name, with its default hyper-parameters.

    Raises:
        InputError: there is no such selector.
    """
    if name not in SELECTORS:
        raise InputError(f"expected a selector ({', '.join(SELECTORS)}), got {name!r}")
    module, _, attribute = SELECTORS[name].partition(":")
    return cast(type[Selector], getattr(import_module(module), attribute))()
