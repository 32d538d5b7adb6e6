"""Where another process finds a function: by its module and name, because a function itself cannot be sent."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ..code.load import UNNAMED
from ..problem import InvalidDefinition

MAIN = "__towpath_main__"
"""The name in a child process of the script that runs as `__main__`. By it the script knows that it is only imported."""
_NEXT = "Define it with def at the top of a module, or remove runs_in."


class Place(NamedTuple):
    """A function at the top of a module."""

    module: str
    file: str | None
    """The file of a script, or of a module that no import statement can name."""
    package: str | None
    name: str


def check_is_findable(task: str, fn: Callable[..., Any]) -> None:
    """@raises InvalidDefinition for a function that has no name in its module"""
    name = getattr(fn, "__qualname__", None)
    if name is None or "<lambda>" in name:
        raise InvalidDefinition(f'task "{task}": a lambda cannot run in a process, which finds it by name. {_NEXT}')
    if "<locals>" in name:
        raise InvalidDefinition(
            f'task "{task}": {name.replace(".<locals>", "")} is defined in a function, so another process cannot find it. '
            f"{_NEXT}"
        )


def place_of(task: str, fn: Callable[..., Any]) -> Place:
    """Where a child process finds a function.

    Raises:
        InvalidDefinition: it would not find it, or another one.
    """
    check_is_findable(task, fn)
    module = sys.modules.get(fn.__module__)
    if module is None or _found(module, fn.__qualname__) is not fn:
        raise InvalidDefinition(
            f'task "{task}": the name {fn.__qualname__} in module {fn.__module__} stands for something else, '
            f"so another process cannot find the function. {_NEXT}"
        )
    file = getattr(module, "__file__", None)
    if fn.__module__ != "__main__":
        by_file = fn.__module__.startswith(UNNAMED)
        return Place(fn.__module__, file if by_file else None, None, fn.__qualname__)
    if file is None:
        raise InvalidDefinition(
            f'task "{task}" is defined in a notebook or an interactive session, which another process cannot import. '
            "Move it to a module, or remove runs_in."
        )
    sys.modules.setdefault(MAIN, module)
    return Place(MAIN, file, getattr(module, "__package__", None) or None, fn.__qualname__)


def function_at(place: Place) -> Callable[..., Any]:
    """The function at a place, in a child process. Raises what its module raises."""
    try:
        module = _module_at(place)
    except SystemExit as error:
        raise InvalidDefinition(
            f"Module {place.file or place.module} ends the process when it is imported: sys.exit({error.code!r}). "
            'Put what the program does below `if __name__ == "__main__":`.'
        ) from error
    fn: Callable[..., Any] | None = _found(module, place.name)
    if fn is None:
        raise InvalidDefinition(
            f"Module {place.file or place.module} has no {place.name} when another process imports it."
        )
    return fn


def _found(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found.fn if hasattr(found, "fn") and hasattr(found, "options") else found


def _module_at(place: Place) -> ModuleType:
    if place.file is None:
        return importlib.import_module(place.module)
    known = sys.modules.get(place.module)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(place.module, place.file)
    if spec is None or spec.loader is None:
        raise InvalidDefinition(f"{place.file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    if place.package is not None:
        module.__package__ = place.package
    sys.modules[place.module] = module
    if place.module == MAIN:
        # The flow's process pickles instances of the script's classes by this name.
        sys.modules["__main__"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[place.module]
        raise
    return module
