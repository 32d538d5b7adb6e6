"""Where a project declares its flows, and what its modules import."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..code.version import CodeVersions
from ..flow import Flow
from ..problem import InvalidDefinition
from .closest import advice

_BY_PATH = re.compile(r"\b(?:__file__|notebook|__path__|subprocess|popen|system|runpy|spawn\w*|Process\w*)\b")
"""Code that may read or start code of the project without an import statement."""


def place_of(flow: Any) -> tuple[str, str]:
    """The place of a flow, `flows/train.py:train`, relative to the current folder, and its name.

    Raises:
        InvalidDefinition: it is no flow, is outside of the project, or is not at the top of its module.
    """
    if not isinstance(flow, Flow):
        raise InvalidDefinition(
            f"deployment() got a {type(flow).__name__}, not a flow.",
            next='Give it a function with @flow, or its place such as "flows/train.py:train".',
        )
    module = sys.modules.get(flow.fn.__module__)
    file = getattr(module, "__file__", None)
    root = Path.cwd().resolve()
    path = None if file is None else Path(file).resolve()
    if module is None or path is None or root not in path.parents:
        raise InvalidDefinition(f'flow "{flow.name}" is declared outside of the project ({file}).')
    function = next((name for name, value in vars(module).items() if value is flow), None)
    relative = path.relative_to(root).as_posix()
    if function is None:
        raise not_at_top(flow.name, relative)
    return f"{relative}:{function}", flow.name


def not_at_top(flow: str, path: str) -> InvalidDefinition:
    """The error for a flow that no name at the top of its module holds."""
    return InvalidDefinition(
        f'flow "{flow}" is not at the top of its module {path}.',
        next="A worker finds a flow by its name in the module: declare it outside of functions and classes.",
    )


def flow_in(module: ModuleType, path: str, function: str) -> Flow[Any, Any]:
    """The flow of this name at the top of a module.

    Raises:
        InvalidDefinition: there is none. Names the closest flow.
    """
    found = vars(module).get(function)
    if isinstance(found, Flow):
        return found
    flows = [name for name, value in vars(module).items() if isinstance(value, Flow)]
    if function in vars(module):
        raise InvalidDefinition(
            f"{function} in {path} is a {type(found).__name__}, not a flow.", next="Put @flow above the function."
        )
    hint = advice(function, flows) if flows else "Declare it there with @flow, outside of functions and classes."
    raise InvalidDefinition(f"{path} has no flow {function} at its top.", next=hint)


def files_reached(root: Path, path: str) -> list[str] | None:
    """The files of the project that a module imports, at whatever depth, with itself.

    Also imports inside of functions count. None: it may import or start any module, by a text or by its path.
    """
    versions = CodeVersions([root])
    open_, seen = [(root / path).resolve()], set[Path]()
    while open_:
        file = open_.pop()
        if file in seen:
            continue
        seen.add(file)
        seen.update(_packages_of(root, file))
        try:
            module = versions.module_at(file)
            source = file.read_text(encoding="utf-8")
        except (OSError, SyntaxError, ValueError, RecursionError):
            return None
        if _BY_PATH.search(source):
            return None
        for statement in module.statements:
            if statement.use.imports_by_text:
                return None
            for imported in statement.imports.values():
                for name in _names(imported.module, imported.name):
                    below = versions.found(file, name)
                    if below is not None:
                        open_.append(below)
    return sorted(file.relative_to(root).as_posix() for file in seen if root in file.parents)


def _names(module: str, name: str | None) -> list[str]:
    """The modules that an import statement may load: the module, and the name in it if that is a module."""
    if name is None or name == "*":
        return [module]
    return [module, f"{module}{'' if module.endswith('.') else '.'}{name}"]


def _packages_of(root: Path, file: Path) -> list[Path]:
    """The `__init__.py` of each package that a module is in: importing the module runs them."""
    inits = (parent / "__init__.py" for parent in file.parents if root in parent.parents)
    return [init for init in inits if os.path.isfile(init)]
