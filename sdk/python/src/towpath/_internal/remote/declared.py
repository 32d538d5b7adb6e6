"""The tasks that modules declare, which another process calls by their names, and the pools in which the code calls them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from ..problem import InvalidDefinition, NotRemote

_declared: dict[str, dict[tuple[str, str], Any]] = {}
"""Tasks by name, and by module and function: a module that is loaded again replaces its own."""


def declare_task(task: Any) -> None:
    """Registers a task, so that another process finds it by name."""
    place = (getattr(task.fn, "__module__", ""), getattr(task.fn, "__qualname__", ""))
    _declared.setdefault(task.options.name, {})[place] = task


def declared_tasks() -> Iterator[Any]:
    """All declared tasks."""
    for places in _declared.values():
        yield from places.values()


def declared_task(name: str) -> Any:
    """The declared task of this name. @raises NotRemote if there is none, or more than one."""
    found = list(_declared.get(name, {}).values())
    if not found:
        raise NotRemote(
            name,
            "the flow's module declares no task of this name when it is loaded.",
            "Declare it at the top of a module that the flow's module imports.",
        )
    if len(found) > 1:
        raise NotRemote(name, "the flow's modules declare several tasks of this name.", "Give each task its own name.")
    return found[0]


def remote_tasks(root: Path) -> dict[str, Any]:
    """The tasks that the loaded modules of a project call in other pools: `pools` by the task's name; `isOpen` if the code
    also names a pool that is not written in it; `compute` as the task declares it.

    Raises:
        InvalidDefinition: such a task is not at the top of a module.
    """
    uses: dict[str, dict[str, Any]] = {}

    def add(name: str, pool: str | None) -> None:
        use = uses.setdefault(name, {"pools": [], "isOpen": False, "compute": None})
        if pool is None:
            use["isOpen"] = True
        elif pool not in use["pools"]:
            use["pools"] = sorted([*use["pools"], pool])

    for module, tree in _modules(root):
        for name, pool in _Uses(module, tree).found:
            add(name, pool)
    for name, places in _declared.items():
        for (_, place), task in places.items():
            if task.options.pool is not None and _is_in(root, task):
                add(name, task.options.pool)
            if name in uses and "<locals>" in place and _is_in(root, task):
                raise InvalidDefinition(
                    f'the task "{name}" runs in another pool, but it is created inside a function.',
                    next="Declare it at the top of its module, so that a worker of that pool can find it.",
                )
            if name in uses and task.options.compute is not None:
                uses[name]["compute"] = dict(task.options.compute)
    return uses


def _is_in(root: Path, task: Any) -> bool:
    file = getattr(sys.modules.get(getattr(task.fn, "__module__", "")), "__file__", None)
    return file is not None and root in Path(file).resolve().parents


def _modules(root: Path) -> Iterator[tuple[ModuleType, ast.Module]]:
    """The loaded modules of the project with their syntax trees. A virtual environment in the project is not part of it."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        inside = path.relative_to(root).parts if root in path.parents else ()
        if not inside or "site-packages" in inside or any(part.startswith(".") for part in inside):
            continue
        try:
            yield module, ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue


class _Uses(ast.NodeVisitor):
    """Calls of `.with_options(pool=...)`, with the tasks and pools that the names of the module stand for."""

    def __init__(self, module: ModuleType, tree: ast.Module) -> None:
        self._names = vars(module)
        self._local: list[set[str]] = []
        self.found: list[tuple[str, str | None]] = []
        self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def _function(self, node: Any) -> None:
        """A name that a function binds is not the module's."""
        bound = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        bound |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        self._local.append(bound)
        self.generic_visit(node)
        self._local.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "with_options":
            task = self._task(node.func.value)
            for keyword in node.keywords:
                if task is not None and keyword.arg == "pool":
                    self.found.append((task, self._text(keyword.value)))
                elif task is not None and keyword.arg is None:
                    # with_options(**options) may have a pool.
                    self.found.append((task, None))
        self.generic_visit(node)

    def _value(self, node: ast.expr) -> Any:
        """What an expression of names stands for, in the module as it is loaded. None: unknown."""
        if isinstance(node, ast.Name):
            return None if any(node.id in bound for bound in self._local) else self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            of = self._value(node.value)
            return getattr(of, node.attr, None) if isinstance(of, (ModuleType, type)) else None
        return node.value if isinstance(node, ast.Constant) else None

    def _task(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "with_options":
            return self._task(node.func.value)
        options = getattr(self._value(node), "declared", None)
        return getattr(options, "name", None)

    def _text(self, node: ast.expr) -> str | None:
        value = self._value(node)
        return value if isinstance(value, str) else None
