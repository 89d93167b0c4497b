"""The public packages, and what their functions and classes say of themselves."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import balto
import balto.errors

#: Where users import from.
PACKAGES = (
    balto,
    *(balto.campaign, balto.importers, balto.journal, balto.learn, balto.measure, balto.models),
    *(balto.select, balto.tasks, balto.testing, balto.tune, balto.workers),
)
#: Made by what is named there: nobody else calls their constructors.
MADE_BY = {
    "TaskTuning": "Session.begin",
    "Journal": "Journal.open",
    "Favourite": "Session.favourite",
    "Memory": "tune_network, of the stores that it is given",
    **dict.fromkeys(("Tuned", "DeployedNetwork"), "load_tuned"),
}
#: What a docstring may have.
HEADINGS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Examples")
#: Results that need no words.
NOTHING = (None, "None", "NoReturn", "Self")


def public_things() -> dict[str, Any]:
    """Every public class and function, by the name that a user writes; once each."""
    found: dict[int, tuple[str, Any]] = {}
    for package in PACKAGES:
        for name in package.__all__:
            thing = getattr(package, name)
            if isinstance(thing, type | FunctionType):
                found.setdefault(id(thing), (f"{package.__name__}.{name}", thing))
    return dict(found.values())


def functions_of(thing: Any) -> Iterator[tuple[str, FunctionType]]:
    """A function, or a class's constructor and public methods and properties, inherited too."""
    if isinstance(thing, FunctionType):
        yield "", thing
        return
    for name in dir(thing):
        each = inspect.getattr_static(thing, name)
        each = each.fget if isinstance(each, property) else getattr(each, "__func__", each)
        each = each.func if isinstance(each, functools.cached_property) else each
        ours = isinstance(each, FunctionType) and each.__module__.startswith("balto")
        if ours and (not name.startswith("_") or name == "__init__"):
            yield name, each


@functools.cache
def names_of(module: str) -> dict[str, Any]:
    """What annotations of a module may name, imports for type checkers included."""
    found = dict(vars(import_module(module)))
    for node in ast.parse(Path(found["__file__"]).read_bytes()).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module, "exec"), found)
    return found


def types_in(hint: Any) -> Iterator[type]:
    """The classes that an annotation names, at any depth."""
    if isinstance(hint, list | tuple):
        for each in hint:
            yield from types_in(each)
    elif typing.get_origin(hint) is not None:
        yield from types_in(typing.get_origin(hint))
        yield from types_in(typing.get_args(hint))
    elif isinstance(hint, type):
        yield hint


def annotated(thing: Any) -> Iterator[tuple[str, type]]:
    """Every type that the signatures and attributes of a public thing name, and where."""
    for name, function in functions_of(thing):
        if name == "__init__" and thing.__name__ in MADE_BY:
            continue
        hints = typing.get_type_hints(function, names_of(function.__module__))
        for argument, hint in hints.items():
            yield from ((f"{name}({argument})", each) for each in types_in(hint))
    for base in thing.__mro__ if isinstance(thing, type) else ():
        if base.__module__.startswith("balto"):
            for name, hint in attributes(base).items():
                yield from ((name, each) for each in types_in(hint))


def attributes(owner: type) -> dict[str, Any]:
    """Annotated attributes, those that the constructor annotates too."""
    written = dict(vars(owner).get("__annotations__", {}))
    init, made_up = inspect.unwrap(owner.__init__), hasattr(owner, "__dataclass_fields__")
    if "__init__" in vars(owner) and isinstance(init, FunctionType) and not made_up:
        source = inspect.cleandoc("\n" + inspect.getsource(init))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target).startswith("self."):
                written[ast.unparse(node.target)[5:]] = ast.unparse(node.annotation)
    names = names_of(owner.__module__)
    return {
        name: eval(hint, names) if isinstance(hint, str) else hint
        for name, hint in written.items()
        if not name.startswith("_")
    }


def is_public(found: type) -> bool:
    """Whether a user can import a class from a public place."""
    places: tuple[ModuleType, ...] = (*PACKAGES, balto.errors)
    return any(getattr(place, found.__name__, None) is found for place in places)


def sections(docstring: str) -> dict[str, dict[str, str]]:
    """The parts of a docstring by their headings, and in each what it says of every name."""
    parts = re.split(rf"^({'|'.join(HEADINGS)}):\n", inspect.cleandoc(docstring), flags=re.M)
    return {
        heading: {
            name.strip(): " ".join(text.split())
            for name, _, text in (
                each.partition(":") for each in re.split(r"^    (?=\S)", part, flags=re.M)[1:]
            )
        }
        for heading, part in zip(parts[1::2], parts[2::2], strict=True)
    }


def told(thing: Any, name: str) -> dict[str, dict[str, str]]:
    """What is said of a function or method, in the classes that it is inherited from too."""
    if not name:
        return sections(thing.__doc__ or "")
    found: dict[str, dict[str, str]] = {}
    for base in reversed([b for b in thing.__mro__ if b.__module__.startswith("balto")]):
        each = base if name == "__init__" else vars(base).get(name)
        for heading, said in sections(getattr(each, "__doc__", None) or "").items():
            found[heading] = {**found.get(heading, {}), **said}
    return found


def lacking(thing: Any) -> Iterator[str]:
    """What the docstrings of a public thing do not say."""
    for name, function in functions_of(thing):
        if name == "__init__" and thing.__name__ in MADE_BY:
            continue
        said = told(thing, name)
        described = {
            each.lstrip("*") for part in ("Args", "Attributes") for each in said.get(part, ())
        }
        arguments = set(inspect.signature(function).parameters) - {"self", "cls"}
        yield from (f"{name} does not say what {each} is" for each in arguments - described)
        called = isinstance(getattr(thing, name) if name else thing, FunctionType | MethodType)
        result = function.__annotations__.get("return", "None")
        if called and result not in NOTHING and not {"Returns", "Yields"} & set(said):
            yield f"{name} does not say what it returns"
        if raises(function) and "Raises" not in said:
            yield f"{name} does not say what it raises"
        for kind, condition in said.get("Raises", {}).items():
            if not condition.startswith(("If ", "As ")):
                yield f"{name} does not say when it raises {kind}: {condition}"


def raises(function: FunctionType) -> bool:
    """Whether a function raises something by itself; what `dataclass` makes up does not."""
    if not Path(function.__code__.co_filename).exists():
        return False
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    return any(isinstance(n, ast.Raise) and n.exc is not None for n in ast.walk(tree))
