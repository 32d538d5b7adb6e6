"""The run, and the part of it, that the current code belongs to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..problem import Cancelled, OutsideOfRun
from ..task.identity import CallLedger
from .cancel import Cancel
from .failures import Failures
from .forks import refuse_if_forked
from .host import Host

if TYPE_CHECKING:
    from ..checkpoint.checkpoints import Checkpoints
    from ..resources.opened import Opened
    from ..suspend.waits import Waits
    from ..task.async_map import AsyncPump
    from ..task.lineage import Lineage
    from ..task.map import Pump
    from ..task.pool import Pool
    from ..task.runners import OpenRunner
    from ..task.slots import Holder, UnlimitedTags


class OpenCalls:
    """Counts the task calls that have not ended."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.count = 0
        self.moves = 0
        """Counts begins and ends."""
        self.is_working = False
        """Whether the function of a plain flow runs its own code. Then the run is not suspended."""
        self.elsewhere = 0
        """Counts the calls that wait for their runs in other pools."""
        self._function_thread: int | None = None

    def __enter__(self) -> None:
        with self.changed:
            self.count += 1
            self.moves += 1

    def __exit__(self, *_: object) -> None:
        with self.changed:
            self.count -= 1
            self.moves += 1
            self.changed.notify_all()

    def is_quiet(self) -> bool:
        """Whether no call is left."""
        return self.count + self.elsewhere == 0

    @contextmanager
    def function(self) -> Iterator[None]:
        """While the function of a plain flow runs, in this thread."""
        self._function_thread = threading.get_ident()
        self._set_working(True)
        try:
            yield
        finally:
            self._function_thread = None
            self._set_working(False)

    def has_function(self) -> bool:
        """Whether the function of a plain flow waits in another thread than this one."""
        return self._function_thread not in (None, threading.get_ident())

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While this thread waits for something of the engine. It matters in the thread of a plain flow's function."""
        if threading.get_ident() != self._function_thread or not self.is_working:
            yield
            return
        self._set_working(False)
        try:
            yield
        finally:
            self._set_working(True)

    @contextmanager
    def left(self, holds: int) -> Iterator[None]:
        """While a call waits for work elsewhere. The run may be suspended meanwhile.

        Args:
            holds: how often the call counts as open.
        """
        with self.changed:
            self.elsewhere += 1
        for _ in range(holds):
            self.__exit__()
        try:
            yield
        finally:
            for _ in range(holds):
                self.__enter__()
            with self.changed:
                self.elsewhere -= 1

    def _set_working(self, is_working: bool) -> None:
        with self.changed:
            self.is_working = is_working
            self.moves += 1
            self.changed.notify_all()

    def wake(self) -> None:
        """Lets everybody who waits look again."""
        with self.changed:
            self.changed.notify_all()


def _unlimited_tags() -> UnlimitedTags:
    from ..task.slots import UnlimitedTags

    return UnlimitedTags()


def _no_lineage() -> Lineage:
    from ..task.lineage import Lineage

    return Lineage()


def _nothing_opened() -> Opened:
    from ..resources.opened import Opened

    return Opened()


@dataclass
class ActiveRun:
    """One run in this process."""

    flow: str
    host: Host
    checkpoints: Checkpoints
    cancel: Cancel
    failures: Failures
    waits: Waits
    pool: Pool
    open: OpenCalls
    untaken: set[Pump | AsyncPump] = field(default_factory=set)
    """The maps whose results nobody has taken yet."""
    pid: int = field(default_factory=os.getpid)
    """The process of the run. One that the author's code has forked is no part of it."""
    lineage: Lineage = field(default_factory=_no_lineage)
    """Which calls returned which values."""
    unlimited: UnlimitedTags = field(default_factory=_unlimited_tags)
    when_suspended: list[Callable[[], Any]] = field(default_factory=list)
    """Clean-up for a suspension, in reverse order. Code that cleans up before removes its entry."""
    opened: Opened = field(default_factory=_nothing_opened)
    runners: dict[Any, OpenRunner] = field(default_factory=dict)
    """The processes and clusters that its tasks have used, by their option `runs_in`."""
    attached: dict[str, Any] = field(default_factory=dict)
    """What modules for other tools remember during the run, by the tool's name."""
    at_end: list[Callable[[str], Any]] = field(default_factory=list)
    """Called with the outcome before it is reported: `completed`, `failed` or `cancelled`. Not when the run goes on elsewhere."""
    has_ended: bool = False
    """Code that is still running can start nothing more in it."""
    fatal: BaseException | None = None
    """What the run fails with, even if the flow catches it."""

    def fail(self, error: BaseException) -> None:
        """Makes the run fail with this error, even if the flow catches it."""
        self.fatal = self.fatal or error
        self.cancel.abort(error)

    def warn(self, text: str) -> None:
        """Logs a warning about the run."""
        self.checkpoints.warn("", text)


@dataclass(frozen=True)
class Scope:
    """The flow's function, or one try of a task."""

    run: ActiveRun
    path: str
    """Path of the task run, empty in the flow's own function."""
    cancel: Cancel
    calls: CallLedger
    is_async: bool
    holder: Holder | None = None
    """The nearest try around it that holds slots."""
    anew: bool = False
    """Whether task calls run again even if an earlier attempt has their result."""

    def of_task(self) -> dict[str, str]:
        """The task path as records carry it."""
        return {} if self.path == "" else {"task": self.path}


current: ContextVar[Scope | None] = ContextVar("towpath_scope", default=None)


def scope_for(what: str, next: str = "Use it inside a flow's function.") -> Scope:
    """The scope of the calling code.

    Raises:
        OutsideOfRun: outside of a run. A thread that the author started is outside, and a process that was forked.
        Cancelled: after the run has ended.
    """
    scope = current.get()
    if scope is None:
        if threading.current_thread() is not threading.main_thread():
            next = f"{next} In a thread of your own, call it through contextvars.copy_context().run(...)."
        raise OutsideOfRun(what, next)
    refuse_if_forked(scope.run.pid, what)
    if scope.run.has_ended:
        raise Cancelled("the flow has ended")
    return scope
