"""The tasks of a flow: their versions, by which the plan of a rerun tells what has changed, and their limits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..code.version import CodeVersions
from ..remote.declared import declared_tasks

_TASKS_MAX = 1000


def task_versions(root: Path, files: list[str] | None) -> dict[str, str]:
    """The version of each task and job that a flow may call, by its name: as the process that runs it computes it.

    Left out are those whose code cannot be analysed, and different ones of the same name. Any change counts as a change of them.

    Args:
        root: the project's folder. Its modules are loaded.
        files: the files that the flow reaches. None: all of the project.
    """
    versions = CodeVersions([root])
    found: dict[str, set[str | None]] = {}
    for name, version, fn in _declared():
        if _is_reached(root, files, fn):
            found.setdefault(name, set()).add(version or versions.of(fn))
    known = {name: next(iter(those)) for name, those in found.items() if len(those) == 1}
    return {name: version for name, version in sorted(known.items())[:_TASKS_MAX] if version is not None}


def task_limits(root: Path, files: list[str] | None) -> list[dict[str, str]]:
    """The named limits of the tasks that a flow may call, which a deploy looks for: `{"limit", "task"}`."""
    found = {
        (use if isinstance(use, str) else use[0], task.options.name)
        for task in declared_tasks()
        if _is_reached(root, files, task.fn)
        for use in task.options.limits
    }
    return [{"limit": limit, "task": task} for limit, task in sorted(found)[:_TASKS_MAX]]


def _is_reached(root: Path, files: list[str] | None, fn: Callable[..., Any]) -> bool:
    path = _file_of(root, fn)
    return path is not None and (files is None or path in files)


def _declared() -> Iterator[tuple[str, str | None, Callable[..., Any]]]:
    for task in declared_tasks():
        yield task.options.name, task.options.version, task.fn
    # Most flows have no jobs.
    jobs = sys.modules.get("towpath._internal.jobs.job")
    for job in () if jobs is None else jobs.declared_jobs():
        yield job.name, job.version, job.submit


def _file_of(root: Path, fn: Callable[..., Any]) -> str | None:
    file = getattr(sys.modules.get(getattr(fn, "__module__", "")), "__file__", None)
    path = None if file is None else Path(file).resolve()
    return path.relative_to(root).as_posix() if path is not None and root in path.parents else None
