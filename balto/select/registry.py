"""Which selectors there are; their modules are imported when asked for."""

from __future__ import annotations

from balto.registry import Registry
from balto.select.base import Selector

#: Selectors by name. Others plug in by an entry point in the group ``balto.selectors``.
SELECTORS: Registry[Selector] = Registry(
    Selector,  # type: ignore[type-abstract]
    "selector",
    {
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
    },
    "balto.selectors",
    {},
)


def get(selector: str | Selector) -> Selector:
    """A selector from its name and hyper-parameters, ``balto:C=0.5``; an object as it is.

    Args:
        selector: a name, or an object.

    Returns:
        The selector.

    Raises:
        InputError: If there is no such selector or hyper-parameter, or `selector` is neither a name
            nor a selector.

    Examples:
        >>> balto.get_selector("biased-diversity")
        BiasedDiversity()
    """
    return SELECTORS.of(selector)
