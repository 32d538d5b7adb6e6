"""The version of a task's code: a hash of all that the task reaches in the project.

It is made from syntax trees, so that comments, formatting, docstrings and unrelated code do not change it, and it is equal
on every Python. Where code uses a module in a way that cannot be seen (`getattr`, `globals`, `from x import *`), the whole
module counts. Where it imports modules by a text, there is no version, and all code counts.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from .canonical import canonical
from .module import Imported, Module, Statement, is_built_in

_CHARS = 16
_STARTED_IN = os.getcwd()
"""A program's own file may have a relative name, and the author may change the folder later."""
_FOREIGN_FOLDERS = {"site-packages", "dist-packages", ".venv", "venv", "node_modules"}


class CodeVersions:
    """Versions of functions. Each file is read and parsed once. Safe for several threads."""

    def __init__(self, roots: list[Path]) -> None:
        """@param roots The folders of the project."""
        self._roots = [root.resolve() for root in roots]
        self._modules: dict[Path, Module] = {}
        self._lock = threading.Lock()

    def of(self, fn: Callable[..., Any]) -> str | None:
        """The version of a function: 16 hexadecimal digits. None where its source is not in the project, or where it imports
        modules by a text."""
        if not isinstance(fn, FunctionType):
            return None
        with self._lock:
            try:
                return self._of(fn)
            except (OSError, SyntaxError, ValueError, RecursionError, _Unseen):
                return None

    def _of(self, fn: FunctionType) -> str | None:
        reach = _Reach(self)
        is_found = False
        for one in _inside(fn):
            path = self._project_file(os.path.join(_STARTED_IN, one.__code__.co_filename))
            statement = None if path is None else self._module(path).at_line(one.__code__.co_firstlineno)
            if path is not None and statement is not None:
                reach.add(path, statement)
                is_found = True
        return reach.version() if is_found else None

    def _module(self, path: Path) -> Module:
        known = self._modules.get(path)
        if known is None:
            known = self._modules[path] = Module(path.read_text(encoding="utf-8"))
        return known

    def _project_file(self, name: str) -> Path | None:
        path = Path(name).resolve()
        for root in self._roots:
            if root in path.parents:
                inside = path.relative_to(root).parts
                return None if _FOREIGN_FOLDERS.intersection(inside) else path
        return None

    def found(self, importer: Path, module: str) -> Path | None:
        """The file of a module of the project, by its absolute or relative name."""
        dots = len(module) - len(module.lstrip("."))
        parts = [part for part in module[dots:].split(".") if part]
        if dots > 0:
            base = importer.parent
            for _ in range(dots - 1):
                base = base.parent
            return self._file_in(base, parts)
        loaded = sys.modules.get(module)
        file = getattr(loaded, "__file__", None) if isinstance(loaded, ModuleType) else None
        if file is not None:
            return self._project_file(file)
        for base in (importer.parent, *self._roots):
            path = self._file_in(base, parts)
            if path is not None:
                return path
        return None

    def _file_in(self, base: Path, parts: list[str]) -> Path | None:
        place = base.joinpath(*parts)
        for path in (place.with_suffix(".py") if parts else place / "__init__.py", place / "__init__.py"):
            if path.is_file():
                return self._project_file(str(path))
        return None

    def module_at(self, path: Path) -> Module:
        """The statements of a file of the project."""
        return self._module(path)

    def name_of(self, path: Path) -> str:
        """A file's name in the project, the same on every machine."""
        for root in self._roots:
            if root in path.parents:
                return path.relative_to(root).as_posix()
        return path.name


def _inside(fn: FunctionType) -> Iterator[FunctionType]:
    """A function, and those that it wraps: a decorator holds them in its closure."""
    open_, seen = [fn], set[int]()
    while open_:
        one = open_.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        for cell in one.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                # The name has no value yet.
                continue
            if isinstance(held, FunctionType):
                open_.append(held)


class _Unseen(Exception):
    """What a function reaches cannot be seen."""


class _Reach:
    """All statements that one function reaches."""

    def __init__(self, versions: CodeVersions) -> None:
        self._versions = versions
        self._seen: dict[tuple[Path, int], Statement] = {}
        self._whole: set[Path] = set()
        self._packages: set[str] = set()
        self._open: list[tuple[Path, Statement]] = []

    def add(self, path: Path, statement: Statement) -> None:
        """Adds a statement and everything that it uses."""
        self._push(path, statement)
        while self._open:
            self._follow(*self._open.pop())

    def version(self) -> str:
        """The hash of everything that was added."""
        digest = hashlib.sha256()
        parts = [(self._versions.name_of(path), line, one) for (path, line), one in self._seen.items()]
        # By file and order in it. The line itself does not count.
        for name, _, statement in sorted(parts, key=lambda part: part[:2]):
            digest.update(f"{name}\n{canonical(statement.node)}\n".encode("utf-8", "surrogatepass"))
        for package in sorted(self._packages):
            digest.update(f"package {package}\n".encode())
        return digest.hexdigest()[:_CHARS]

    def _push(self, path: Path, statement: Statement) -> None:
        place = (path, statement.node.lineno)
        if place not in self._seen:
            self._seen[place] = statement
            self._open.append((path, statement))

    def _follow(self, path: Path, statement: Statement) -> None:
        module = self._versions.module_at(path)
        if statement.use.imports_by_text:
            raise _Unseen
        if statement.use.by_text:
            self._all_of(path)
        for bound, imported in statement.imports.items():
            # An import inside of a function: what it uses of the module is not known.
            if bound not in statement.binds and bound.split(".")[0] not in statement.binds:
                self._import(path, imported, None)
        for name in sorted(statement.use.names):
            self._name(path, module, name, None, name in statement.use.locals)
        for name, attributes in sorted(statement.use.attributes.items()):
            self._name(path, module, name, attributes, name in statement.use.locals)

    def _name(self, path: Path, module: Module, name: str, attributes: set[str] | None, is_local: bool = False) -> None:
        """@param attributes The only attributes of the name that are used; None: it is used as a whole."""
        statements = list(module.touching(name))
        if not statements and not is_local and not is_built_in(name):
            # The name may come from `from x import *`.
            statements = [one for one in module.statements if "*" in one.imports]
        for statement in statements:
            imported = {bound: one for bound, one in statement.imports.items() if bound.split(".")[0] in (name, "*")}
            if not imported:
                self._push(path, statement)
            for bound, one in imported.items():
                # Of `import a.b`, the whole of a.b counts.
                self._import(path, one, attributes if bound == name else None)

    def _import(self, path: Path, imported: Imported, attributes: set[str] | None) -> None:
        module, name = imported.module, imported.name
        if name is not None and name != "*":
            # `from package import module` binds a module.
            below = self._versions.found(path, f"{module}{'' if module.endswith('.') else '.'}{name}")
            if below is not None:
                self._module(below, attributes)
                return
        file = self._versions.found(path, module)
        if file is None:
            self._packages.add(_package(module))
        elif name is None:
            self._module(file, attributes)
        elif name == "*":
            self._all_of(file)
        else:
            self._module(file, {name})

    def _module(self, path: Path, names: set[str] | None) -> None:
        if names is None:
            self._all_of(path)
            return
        module = self._versions.module_at(path)
        for statement in module.statements:
            # What runs when the module is loaded may change anything.
            if not statement.is_passive and not statement.binds:
                self._push(path, statement)
        for name in sorted(names):
            self._name(path, module, name, None)

    def _all_of(self, path: Path) -> None:
        if path in self._whole:
            return
        self._whole.add(path)
        for statement in self._versions.module_at(path).statements:
            self._push(path, statement)
            for imported in statement.imports.values():
                self._import(path, imported, None)


def _package(module: str) -> str:
    """A package outside of the project, with its version if that is known."""
    top = module.lstrip(".").split(".")[0]
    if top in sys.stdlib_module_names or top == "towpath":
        return top
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{top} {version(top)}"
    except PackageNotFoundError:
        return top


def project_roots() -> Iterator[Path]:
    """The folders of the project: the current one, and that of the program."""
    yield Path.cwd()
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is not None:
        yield Path(main).resolve().parent


_own: CodeVersions | None = None
_making = threading.Lock()


def code_version_of(fn: Callable[..., Any]) -> str | None:
    """The version of a function of this process's project. See `CodeVersions.of`."""
    global _own
    with _making:
        if _own is None:
            _own = CodeVersions(list(project_roots()))
    return _own.of(fn)
