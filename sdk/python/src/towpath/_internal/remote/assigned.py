"""A run that executes one task for another run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..problem import NotRemote, StoreFault
from .declared import declared_task

if TYPE_CHECKING:
    from ..engine.host import Host

_KEY = "call"
"""The call's key in this run, whatever its arguments, so that a later attempt finds its progress."""


class _NoInput:
    def read(self, _parameters: object) -> dict[str, Any]:
        return {}


class AssignedTask:
    """A task in the place of the flow that declares it. It has no hooks, because they belong to the whole flow."""

    checkpoint = None
    due_input = None
    input = _NoInput()

    def __init__(self, flow: str, host: Host, told: Mapping[str, Any]) -> None:
        from ..task.task import AsyncTask

        self.name = flow
        self._host = host
        self._told = told
        self._task: Any = None
        self._fault: NotRemote | None = None
        try:
            self._task = declared_task(told["name"])
        except NotRemote as fault:
            # Raised where the task is called, so that the run reports it.
            self._fault = fault
        self.is_async = isinstance(self._task, AsyncTask)
        self.source = getattr(self._task, "fn", None)

    def name_of(self, _arguments: object) -> str:
        """The name of the run is the task's."""
        return str(self._told["name"])

    def hook_of(self, _outcome: str) -> None:
        """It has none."""

    def fn(self) -> Any:
        """Calls the task with its retries, time limit, cache and hooks."""
        if self._fault is not None:
            raise self._fault
        given = self._input()
        options = {**given["overrides"], "pool": None, "checkpoint": False, "key": _KEY}
        return self._task.with_options(**options)(*given["args"], **given["kwargs"])

    def _input(self) -> Mapping[str, Any]:
        name = str(self._told["name"])
        try:
            found = self._host.store.load(self._told["input"])
        except StoreFault as cause:
            next = "`towpath doctor` shows whether the workers of both pools use the same store."
            raise NotRemote(name, f"its arguments cannot be loaded: {cause}", next) from cause
        if isinstance(found, dict) and {"args", "kwargs", "overrides"} <= found.keys():
            return found
        raise NotRemote(name, "its stored arguments have an unexpected shape.", "Run the caller again.")
