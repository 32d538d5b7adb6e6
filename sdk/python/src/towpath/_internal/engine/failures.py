"""Which task calls a run failed by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ERRORS_MAX = 100_000
_ENTRIES_MAX = 500
_CHARS_MAX = 128 * 1024
_PATHS = "__towpath_paths__"
_AGAIN = "__towpath_again__"


def parts_of(error: BaseException) -> list[BaseException]:
    """The cause of an error, what it was raised while handling, and the parts of a group.

    A task's error does not come from what the flow was handling when it called the task.
    """
    below = [error.__cause__]
    if not error.__suppress_context__ and _PATHS not in vars(error):
        below.append(error.__context__)
    parts = getattr(error, "exceptions", ())
    if isinstance(parts, (list, tuple)):
        below.extend(one for one in parts if isinstance(one, BaseException))
    return [one for one in below if one is not None]


def every_error(thrown: BaseException) -> Iterator[BaseException]:
    """An error, its causes and the parts of groups, each once."""
    seen: set[int] = set()
    open_: list[BaseException] = [thrown]
    while open_ and len(seen) < _ERRORS_MAX:
        error = open_.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        open_.extend(parts_of(error))


def _beside(path: str) -> str:
    """The entry for all calls with the same parent."""
    return path[: path.rfind("/") + 1] or "/"


def _fits(entries: Sequence[str]) -> bool:
    return len(entries) <= _ENTRIES_MAX and sum(map(len, entries)) <= _CHARS_MAX


def is_failed_by(failed_by: Sequence[str] | None, path: str) -> bool:
    """Whether the entries name a call. None stands for all calls."""
    return failed_by is None or path in failed_by or _beside(path) in failed_by


class Failures:
    """The failed task calls of a run in this process. An error carries their paths itself: built-in errors of Python
    cannot be referenced weakly, and an error that the flow has dropped must not stay in memory."""

    def __init__(self) -> None:
        self._unrecorded: dict[str, Mapping[str, Any]] = {}

    def note(self, path: str, error: BaseException) -> None:
        """Records the error of a failed call."""
        vars(error).setdefault(_PATHS, []).append(path)

    def note_again(self, path: str, error: BaseException) -> None:
        """Records an error of an earlier attempt that a call raises again."""
        self.note(path, error)
        vars(error)[_AGAIN] = True

    def note_unrecorded(self, end: Mapping[str, Any]) -> None:
        """Records a failure that is raised again but not reported: the control plane has it from an earlier attempt."""
        self._unrecorded[end["path"]] = end

    def unrecorded(self, failed_by: Sequence[str] | None) -> list[Mapping[str, Any]]:
        """The unreported failures that make the run fail. A later attempt repeats only reported failures."""
        return [end for path, end in self._unrecorded.items() if is_failed_by(failed_by, path)]

    def take_again(self, thrown: BaseException) -> bool:
        """Whether an error comes from one that was raised again. True once for each."""
        return any(vars(error).pop(_AGAIN, False) for error in every_error(thrown))

    def paths_of(self, thrown: BaseException) -> list[str] | None:
        """The calls whose errors are this error, its causes or its parts, at most 500 entries. None: too many."""
        paths = sorted({path for error in every_error(thrown) for path in vars(error).get(_PATHS, ())})
        if _fits(paths):
            return paths
        parents = list(dict.fromkeys(map(_beside, paths)))
        return parents if _fits(parents) else None
