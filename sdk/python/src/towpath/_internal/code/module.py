"""One module of the project: its top-level statements, what each binds, and what each uses."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

_BY_TEXT = {"globals", "locals", "eval", "exec"}
"""They use any name of their module. `getattr(module, name)` uses that module as a whole, like any use of its name."""
_IMPORTS_BY_TEXT = {"__import__", "import_module", "modules", "run_module", "run_path"}
_BUILT_IN = set(dir(builtins))


@dataclass
class Use:
    """How a statement uses the names of its module."""

    names: set[str] = field(default_factory=set)
    attributes: dict[str, set[str]] = field(default_factory=dict)
    """Names that are only used as `name.attribute`, with the attributes."""
    locals: set[str] = field(default_factory=set)
    """Names that a function in it binds for itself."""
    by_text: bool = False
    """Whether it may use any name of the module."""
    imports_by_text: bool = False
    """Whether it may use any module."""


@dataclass
class Imported:
    """What an import statement binds."""

    module: str
    """Absolute, or relative with leading dots."""
    name: str | None
    """The name in it. None: the module itself. `*`: all of it."""


@dataclass
class Statement:
    """One top-level statement."""

    node: ast.stmt
    binds: set[str]
    imports: dict[str, Imported]
    use: Use
    is_passive: bool
    """Whether running it only binds names: a def, a class or an import."""


class Module:
    """The statements of one file, in order."""

    def __init__(self, source: str) -> None:
        self.statements = [_statement(node) for node in ast.parse(source).body]
        self.bound_in: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for name in statement.binds:
                self.bound_in.setdefault(name, []).append(statement)

    def at_line(self, line: int) -> Statement | None:
        """The statement that contains a line, from 1. Decorators belong to it."""
        for statement in self.statements:
            first = min([statement.node.lineno, *(one.lineno for one in getattr(statement.node, "decorator_list", ()))])
            if first <= line <= (statement.node.end_lineno or statement.node.lineno):
                return statement
        return None

    def touching(self, name: str) -> Iterator[Statement]:
        """The statements that bind a name, or do something with it when the module is loaded."""
        for statement in self.statements:
            if name in statement.binds or (
                not statement.is_passive and (name in statement.use.names or name in statement.use.attributes)
            ):
                yield statement


def _statement(node: ast.stmt) -> Statement:
    collector = _Collector()
    collector.visit(node)
    is_passive = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom))
    use = Use(collector.names, {}, collector.locals, collector.by_text, collector.imports_by_text)
    for name, attributes in collector.attributes.items():
        if name not in use.names:
            use.attributes[name] = attributes
    return Statement(node, collector.binds, collector.imports, use, is_passive or _is_docstring(node))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Collector(ast.NodeVisitor):
    """Every name that a statement loads, at whatever depth, and every name that it binds in the module. A local name of a
    function counts as a use of a module's name that is spelt like it: that only widens the reach."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.binds: set[str] = set()
        self.locals: set[str] = set()
        self.imports: dict[str, Imported] = {}
        self.by_text = False
        self.imports_by_text = False
        self._depth = 0

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            self._look_at(node.attr)
            self.attributes.setdefault(node.value.id, set()).add(node.attr)
        else:
            self._look_at(node.attr)
            self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._look_at(node.id)
            self.names.add(node.id)
        elif self._depth == 0:
            self.binds.add(node.id)
        else:
            self.names.add(node.id)
            self.locals.add(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        self.locals.add(node.arg)
        if node.annotation is not None:
            self.visit(node.annotation)

    def visit_Global(self, node: ast.Global) -> None:
        self.binds.update(node.names)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            self._bind(bound)
            # `import a.b` binds a, and loads a.b.
            self.imports[bound if alias.asname else alias.name] = Imported(alias.name, None)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            bound = alias.asname or alias.name
            if alias.name != "*":
                self._bind(bound)
            self.imports[bound] = Imported(module, alias.name)

    def _bind(self, name: str) -> None:
        (self.binds if self._depth == 0 else self.locals).add(name)

    def _look_at(self, name: str) -> None:
        self.by_text = self.by_text or name in _BY_TEXT
        self.imports_by_text = self.imports_by_text or name in _IMPORTS_BY_TEXT

    def _scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._bind(node.name)
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    visit_FunctionDef = _scope
    visit_AsyncFunctionDef = _scope
    visit_ClassDef = _scope

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self._bind(node.name)
        self.generic_visit(node)


def is_built_in(name: str) -> bool:
    """Whether a name needs no module."""
    return name in _BUILT_IN
