"""Notebooks as flows."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..flow import Flow, flow
from ..problem import InvalidDefinition
from ..task.durations import Duration, ms_of
from .parameters import signature_of
from .read import read_notebook

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..given import OtherFlowOptions

_NOT_IN_NAMES = re.compile(r"[^a-z0-9_-]+")
_NAME_CHARS_MAX = 63


def notebook(
    path: str | Path,
    *,
    name: str | None = None,
    cell_timeout: Duration | None = None,
    **options: Unpack[OtherFlowOptions],
) -> Flow[..., None]:
    """Makes a flow of a notebook. Its cells run in order in one kernel, each as a task run.

    The names that the cell with the tag `parameters` sets are the parameters. Each attempt runs all cells: what they leave in
    the kernel's memory is lost with it. The executed notebook is in the store under the name `notebook`, also after a failure.

    Args:
        path: the file, relative to the folder of the calling module.
        name: 1 to 63 of a-z, 0-9, - and _. Default: the file's name.
        cell_timeout: time limit of each cell. It interrupts the kernel.
        options: those of `flow`, such as `run_name` and `on_failure`.

    Raises:
        InvalidDefinition: the file is no notebook of Python, or its parameters cell fails.

    Example:
        train = notebook("train.ipynb", cell_timeout="10m")
    """
    caller = sys._getframe(1).f_globals
    folder = Path(caller["__file__"]).resolve().parent if "__file__" in caller else Path.cwd()
    return notebook_flow(
        folder / path, module=caller.get("__name__", "__main__"), name=name, cell_timeout=cell_timeout, options=options
    )


def notebook_flow(
    path: Path, *, module: str, name: str | None, cell_timeout: Duration | None, options: Mapping[str, Any]
) -> Flow[..., None]:
    """The flow of a file. `module` is the module that declares it, where a worker finds it."""
    book = read_notebook(path)
    signature = signature_of(book)
    if cell_timeout is not None:
        ms_of(f'notebook "{path.name}": cell_timeout', cell_timeout)
    if options.get("checkpoint") is not None:
        raise InvalidDefinition(
            f'notebook "{path.name}" has no option checkpoint.', next="Its cells run again in each attempt."
        )

    def run(**arguments: Any) -> None:
        from .run import run_notebook

        run_notebook(book, signature, arguments, cell_timeout)

    run.__module__ = module
    run.__name__ = run.__qualname__ = path.stem
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    made: Flow[..., None] = flow(name=name or _name_of(path), **options)(run)
    return made


def _name_of(path: Path) -> str:
    return _NOT_IN_NAMES.sub("-", path.stem.lower()).strip("-_")[:_NAME_CHARS_MAX] or "notebook"
