"""The watchdog's view of a try: what it watches, and what shows that the process is not blocked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.cancel import Cancel
from ..engine.interrupt import is_interruptible, when_handled
from ..engine.io import LOOP
from ..watchdog.watchdog import Watchdog, Watched, WatchedTry
from .durations import ms_of

if TYPE_CHECKING:
    from .run_task import TaskCall

_LATE_MS = 2000
"""How much later a process is killed from outside than a try would end the run."""


def nothing() -> None:
    """What ends the watch over a try that nobody watches."""


def ends_run(call: TaskCall) -> bool:
    """Whether the run must end if a try ignores its time limit. A process of a task is ended by itself."""
    return call.options.if_ignored == "kill" and call.options.runs_in == "thread"


def watched(
    call: TaskCall, tries: int, cancel: Cancel, fn: Callable[[], Any]
) -> tuple[Callable[[], Any], Callable[[], None], Callable[[], None]]:
    """The function to call, what to call when the event loop has told it to stop, and what to call when the try has ended. In
    between, the watchdog kills the process if nothing of it answers the request to stop: the handler of a signal, the event
    loop or a thread."""
    watchdog, limit_ms = call.scope.run.host.watchdog, call.options.timeout_ms
    if watchdog is None or limit_ms is None or call.options.runs_in != "thread":
        return fn, nothing, nothing
    tried = WatchedTry(
        path=call.path,
        name=call.options.name,
        tries=tries,
        limit_ms=limit_ms,
        grace_ms=ms_of("timeout_grace", call.options.timeout_grace),
        more_ms=_LATE_MS if ends_run(call) else 0,
    )
    if call.io is not LOOP and not is_interruptible():
        begun, end = _in_thread(watchdog, tried, cancel, fn, hears=not ends_run(call))
        return begun, nothing, end
    watch = watchdog.watch(tried)
    if ends_run(call):
        # If the run ends for this try, the watch stays: the try may block the process from then on.
        return fn, nothing, watch.end
    if call.io is LOOP:
        return fn, watch.heard, watch.end
    cancel.listen(lambda _: when_handled(watch.heard))
    return fn, nothing, watch.end


def _in_thread(
    watchdog: Watchdog, tried: WatchedTry, cancel: Cancel, fn: Callable[[], Any], *, hears: bool
) -> tuple[Callable[[], Any], Callable[[], None]]:
    """The thread of the function does not exist yet. It begins the watch, so that the guard knows whose stack to show."""
    watches: list[Watched] = []
    ended: list[bool] = []

    def begun() -> Any:
        watches.append(watchdog.watch(tried))
        if ended or (hears and cancel.reason is not None):
            end()
        # A request that came before the function began was answered. The function must not begin, because nothing asks it again.
        cancel.raise_if_asked()
        return fn()

    def end() -> None:
        ended.append(True)
        for one in watches:
            one.end()

    def heard(_reason: BaseException) -> None:
        for one in watches:
            one.heard()

    if hears:
        # Any thread that runs shows that the interpreter does.
        cancel.listen(heard)
    return begun, end
