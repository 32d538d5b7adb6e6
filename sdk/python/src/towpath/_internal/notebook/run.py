"""Runs a notebook as the function of a flow: each code cell is a task run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..artifacts import artifact
from ..engine.interrupt import in_engine_code
from ..engine.scope import Scope, current, scope_for
from ..keep.keep import keep_in
from ..problem import TowpathError
from ..task.durations import Duration
from ..task.options import TaskOptions
from ..task.task import Task
from .kernel import CellFailed, Kernel
from .parameters import source_of
from .read import Cell, Notebook

_KEPT = "notebook"
_GRACE_S = 5
"""More than a kernel takes to be interrupted or killed."""
_SHOWN_CHARS_MAX = 2000


def run_notebook(
    book: Notebook, signature: inspect.Signature, arguments: Mapping[str, Any], cell_timeout: Duration | None
) -> None:
    """Runs all cells in one kernel. The executed notebook is kept, whatever the outcome."""
    in_engine_code(_run, book, source_of(arguments, signature), cell_timeout)


def _run(book: Notebook, injected: str, cell_timeout: Duration | None) -> None:
    scope = scope_for("A notebook")
    kernel = Kernel(book, injected)
    done = 0
    failure: BaseException | None = None
    try:
        kernel.start(scope.cancel)
        for cell in book.cells:
            _task_of(kernel, cell, cell_timeout)()
            done += 1
    except BaseException as error:
        failure = error
        raise
    finally:
        kernel.close()
        _keep(scope, kernel, f"{done} of {len(book.cells)} cells completed.", failure)


def _task_of(kernel: Kernel, cell: Cell, timeout: Duration | None) -> Task[[], None]:
    def run_cell() -> None:
        scope = current.get()
        if scope is not None:
            in_engine_code(kernel.run, cell, scope)

    # What a cell leaves in the kernel's memory is lost with the attempt, so no later attempt can skip it.
    options = TaskOptions(name=cell.name, key=cell.key, checkpoint=False, timeout=timeout, timeout_grace=_GRACE_S)
    return Task(run_cell, options)


def _keep(scope: Scope, kernel: Kernel, summary: str, failure: BaseException | None) -> None:
    """Stores the notebook and shows where. A fault is a warning: it must not replace the outcome."""
    warn = scope.run.checkpoints.warn
    if kernel.is_cut:
        warn(
            "",
            "The outputs of this notebook are too large, so the executed notebook has only a part of them. The log has all text.",
        )
    try:
        ref = keep_in(scope, _KEPT, kernel.text())
        told = [summary]
        if isinstance(failure, CellFailed):
            told.append(f"```\n{str(failure)[:_SHOWN_CHARS_MAX]}\n```")
        told.append(f"Stored at `{ref['uri']}`, {ref['sizeBytes']:,} bytes.")
        artifact.markdown(_KEPT, "\n\n".join(told), title="Executed notebook")
    except (TowpathError, OSError, ValueError) as error:
        warn("", f"The executed notebook is not stored: {error}")
