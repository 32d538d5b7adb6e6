"""What must be equal in the flow's process and on a machine of a cluster: Python, this package, and the task's code."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..code.version import CodeVersions

_CHARS = 12


class Versions(NamedTuple):
    """The versions of one side."""

    python: str
    towpath: str
    code: str | None
    """None where nobody knows it."""


class _Code(CodeVersions):
    """Versions of code by its place below the folder of its imports, which is another one on each machine."""

    def __init__(self, root: Path, tops: frozenset[str] | None) -> None:
        """@param tops The modules and packages at the top of that folder that are the project's. None: all."""
        super().__init__([root])
        self._root = root.resolve()
        self._tops = tops

    def tops(self) -> frozenset[str]:
        """The modules and packages at the top that were read."""
        return frozenset(self._top_of(path) for path in self._modules)

    def _top_of(self, path: Path) -> str:
        return path.relative_to(self._root).parts[0].removesuffix(".py")

    def _project_file(self, name: str) -> Path | None:
        path = super()._project_file(name)
        return path if path is None or self._tops is None or self._top_of(path) in self._tops else None


def versions_of(fn: Callable[..., Any], tops: frozenset[str] | None) -> tuple[Versions, frozenset[str]]:
    """The versions of this side for a function, and the top modules whose code counts: the other side must use the same."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    root = _root_of(fn)
    if root is None:
        return Versions(python, towpath_version(), None), frozenset()
    if tops is None and root.name in ("site-packages", "dist-packages"):
        # There the other packages are not the project's.
        tops = frozenset([fn.__module__.partition(".")[0]])
    code = _Code(root, tops)
    version = code.of(fn)
    return Versions(python, towpath_version(), version), code.tops() if tops is None else tops


@functools.cache
def towpath_version() -> str:
    """The version of this package: a hash of its files, because a worker may bring one of its own."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()[:_CHARS]


def difference(here: Versions, there: Versions) -> str | None:
    """What is not equal, with both values. None if nothing is."""
    for what, ours, theirs in (
        ("Python", here.python, there.python),
        ("the package towpath", here.towpath, there.towpath),
        ("the code of the task", here.code, there.code),
    ):
        if ours is not None and theirs is not None and ours != theirs:
            return f"{what} has version {theirs} there, and {ours} in the flow's process"
    return None


def _root_of(fn: Callable[..., Any]) -> Path | None:
    """The folder from which a function's module is imported."""
    file = getattr(sys.modules.get(fn.__module__), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    parts = len(fn.__module__.split("."))
    return path.parents[parts if path.name == "__init__.py" else parts - 1]
