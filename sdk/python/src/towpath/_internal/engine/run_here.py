"""Runs a flow in this process, without a worker."""

from __future__ import annotations

import _thread
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..clock import SYSTEM_CLOCK, datetime_of, instant
from ..console.answers import answer_of, ask_on_terminal, hint_of, is_terminal
from ..console.sink import ConsoleSink, duration_text, harmless, stdout_sink
from ..jobs.own import OwnJobs
from ..problem import Cancelled, OutsideOfRun
from ..store.file_store import FileStore
from ..watchdog.watchdog import Watchdog
from . import interrupt
from .cancel import Cancel
from .host import Facts, Host, Resume
from .run_flow import RunEnd, run_flow

if TYPE_CHECKING:
    from ..flow import Flow

_STORE_FOLDER = ".towpath/store"
_RESULT_CHARS_MAX = 2000
_NIL_ID = "00000000-0000-0000-0000-000000000000"
_OPEN: Mapping[str, Any] = {"waitId": _NIL_ID, "state": "open", "inMs": None, "answer": None, "run": None}


def new_run_id() -> str:
    """A UUID of version 7."""
    ms = time.time_ns() // 1_000_000
    return str(UUID(int=(ms << 80) | (7 << 76) | (random.getrandbits(12) << 64) | (2 << 62) | random.getrandbits(62)))


class OwnWaits:
    """Waits for time, and for answers of the person at the terminal. With a wait that nobody here can answer, the run is
    suspended once nothing else is working."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._given = answers
        self._known: dict[str, Any] = {}
        self._ends_ms: dict[str, float] = {}
        self._asking = threading.Lock()
        self.jobs = OwnJobs()
        self.facts: Any = None
        self.store: Any = None
        self.open: list[str] = []
        self.refusals: list[str] = []

    @property
    def suspends(self) -> bool:
        return len(self.open) > 0

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """Nobody else answers."""

    def ask(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state of a wait."""
        if wait["kind"] in ("input", "event"):
            with self._asking:
                if path not in self._known:
                    found = self._found(wait)
                    if found is None:
                        self.open.append(wait.get("title") or wait["name"])
                        return _OPEN
                    self._known[path] = found[0]
            return {**_OPEN, "state": "satisfied", "answer": self._known[path], "answeredBy": "you"}
        if wait["kind"] == "job":
            one = self.jobs.at(path, self.facts, SYSTEM_CLOCK)
            one.poll(wait["job"], self.facts, self.store)
            return one.told(wait, wait["pollEveryMs"])
        if wait["kind"] == "run":
            raise OutsideOfRun("suspend.run", "Deploy the flow, and run it on a worker.")
        now_ms = SYSTEM_CLOCK.now_ms()
        at_ms = now_ms + wait["ms"] if wait["kind"] == "for" else datetime_of(wait["at"]).timestamp() * 1000
        left_ms = self._ends_ms.setdefault(path, at_ms) - now_ms
        return {**_OPEN, "state": "satisfied"} if left_ms <= 0 else {**_OPEN, "inMs": left_ms}

    def _found(self, wait: Mapping[str, Any]) -> Any:
        """The answer in a tuple, or None."""
        name = wait.get("title") or wait["name"]
        schema = wait.get("schema", {})
        text = self._given.get(name)
        if text is not None:
            try:
                return (answer_of(schema, text),)
            except ValueError:
                self.refusals.append(f'"{text}" is not an answer to "{name}": write {hint_of(schema)}.')
        return ask_on_terminal(name, schema) if wait["kind"] == "input" and is_terminal() else None


def local_host(
    flow: str,
    *,
    parameters: Any,
    records: Any,
    cancel: Cancel,
    waits: Any,
    end_process: Callable[[], None],
    watchdog: Watchdog | None = None,
) -> Host:
    """The environment of a flow that runs without a worker."""
    run_id = new_run_id()
    facts = Facts(run_id, new_run_id(), 1, _NIL_ID, flow, 0, instant(SYSTEM_CLOCK))
    store = FileStore(f"file://{os.path.abspath(_STORE_FOLDER)}")
    waits.facts, waits.store = facts, store
    return Host(
        facts=facts,
        parameters=parameters,
        records=records,
        store=store,
        # A local run cannot be resumed, so tasks store results only if they say so.
        resume=Resume(origin=run_id),
        clock=SYSTEM_CLOCK,
        random=random.random,
        secret=_secret,
        call=lambda path, call: waits.jobs.note_handle(path, call, facts) or _no_call(path, call),
        waits=waits,
        cancel=cancel,
        end_process=end_process,
        watchdog=watchdog,
    )


def _secret(name: str) -> str:
    variable = f"TOWPATH_SECRET_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable)
    if value is None:
        raise OutsideOfRun(f'Secret "{name}"', next=f"Set the variable {variable}.")
    return value


def _no_call(path: str, call: Mapping[str, Any]) -> Mapping[str, Any]:
    raise OutsideOfRun("A call to the control plane", "Deploy the flow, and run it on a worker.")


def run_shown(flow: Flow[Any, Any], parameters: Mapping[str, Any], answers: Mapping[str, str]) -> RunEnd:
    """Runs a flow in this process and prints its progress and outcome. Ctrl-C asks it to stop."""
    sink = stdout_sink()
    cancel = Cancel()
    waits = OwnWaits(answers)
    watchdog = Watchdog(None)

    def suspended() -> None:
        _show_suspended(sink, flow.name, waits)
        os._exit(1)

    interrupt.install()
    release = _cancel_on_interrupt(cancel)
    began_ms = SYSTEM_CLOCK.monotonic_ms()
    sink.say(f"{sink.paint('quiet', '▸')} {sink.paint('strong', flow.name)}")
    try:
        host = local_host(
            flow.name,
            parameters=parameters,
            records=sink,
            cancel=cancel,
            waits=waits,
            end_process=suspended,
            watchdog=watchdog,
        )
        end = run_flow(flow, host)
    finally:
        release()
        watchdog.close()
    _show_end(sink, flow.name, end, SYSTEM_CLOCK.monotonic_ms() - began_ms)
    return end


def run_here(flow: Flow[Any, Any], parameters: Mapping[str, Any]) -> Any:
    """Runs a flow in this process for a caller. @returns its value. @raises what it raised"""
    end = run_shown(flow, parameters, {})
    if end.error is not None:
        raise end.error
    return end.value


def _cancel_on_interrupt(cancel: Cancel) -> Callable[[], None]:
    """Ctrl-C asks the run to stop. A second Ctrl-C ends the process."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.getsignal(signal.SIGINT)

    def asked(_number: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # In another thread: this one may hold a lock of the engine.
        _thread.start_new_thread(cancel.abort, (Cancelled("interrupted"),))

    signal.signal(signal.SIGINT, asked)

    def release() -> None:
        signal.signal(signal.SIGINT, before)

    return release


def _show_suspended(sink: ConsoleSink, flow: str, waits: OwnWaits) -> None:
    sink.say(f"{sink.paint('warn', '◌')} {sink.paint('strong', flow)} waits for an answer that nobody can give here:")
    for name in waits.open:
        sink.say(f"  {harmless(name)}")
    for refusal in waits.refusals:
        sink.say(f"  {harmless(refusal)}")
    sink.say('  Run it in a terminal, or give the answer at its start: --answer "QUESTION=ANSWER".')


def _show_end(sink: ConsoleSink, flow: str, end: RunEnd, ms: float) -> None:
    is_good = end.outcome == "completed"
    mark = sink.paint("good", "✓") if is_good else sink.paint("bad", "✗")
    sink.say(f"{mark} {sink.paint('strong', flow)} {end.outcome} in {duration_text(ms)}")
    if not is_good or end.value is None:
        return
    text = harmless(repr(end.value))
    sink.say(f"  {text if len(text) <= _RESULT_CHARS_MAX else text[:_RESULT_CHARS_MAX] + '…'}")
    if end.result is not None:
        sink.say(f"  {sink.paint('quiet', 'kept at ' + end.result['uri'])}")
