"""The processes of a run's tasks, as the flow's process sees them. A process is started when a call finds none that is
free, runs one call at a time, and ends with the attempt."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engine.cancel import Cancel
from ..engine.io import Limit
from ..logs.log import PROCESS
from ..problem import Cancelled, NotPicklable, TaskProcessEnded
from ..store.hashes import Hashes
from ..task.durations import ms_of
from ..task.identity import CallLedger
from .place import Place, place_of
from .wire import Wire, packed_error, unpacked_error

if TYPE_CHECKING:
    from ..engine.host import Facts
    from ..task.run_task import TaskCall

_CHILDREN_MAX = 32
"""The most processes of one attempt. Further calls wait for a free one."""
_END_S = 2.0
"""How long processes may take to exit at the end of the attempt, before they are killed."""
_EXIT_S = 1.0
"""How long a process may take to exit after it has closed its pipe."""
_CODE = (
    "import sys; sys.path[:] = sys.argv[2:]; from towpath._internal.process.child import main; main(int(sys.argv[1]))"
)
_NEXT = "Pass data that pickle can copy, or remove runs_in."


@dataclass(frozen=True)
class ChildCall:
    """One call, as its process gets it."""

    task: str
    path: str
    place: Place
    facts: Facts
    hashes: Hashes
    flow: str
    origin: str
    grace_ms: float
    captures: bool
    """Whether `print` and `logging` go to the run's log."""


class _Done(NamedTuple):
    is_value: bool
    packed: Any


class _Child:
    """One process. One call at a time uses it."""

    def __init__(self) -> None:
        import subprocess

        ours, theirs = socket.socketpair()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        try:
            # A session of its own: a signal to its group ends all that it has started, and nothing else.
            self._process = subprocess.Popen(
                [sys.executable, *flags, "-u", "-c", _CODE, str(theirs.fileno()), *sys.path],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._wire = Wire(ours)
        self._changed = threading.Condition()
        self._done: _Done | None = None
        self._is_gone = False
        self._answers: Mapping[str, Callable[..., Any]] = {}
        threading.Thread(target=self._read, name="towpath-child", daemon=True).start()

    @property
    def is_gone(self) -> bool:
        return self._is_gone

    def run(
        self, call: tuple[ChildCall, bytes], answers: Mapping[str, Callable[..., Any]], cancel: Cancel, limit: Limit
    ) -> _Done | None:
        """Runs a call. Returns None if the process has ended without an outcome, or was killed because it did not stop."""
        self._done, self._answers = None, answers
        forget = cancel.listen(lambda _: self._wake())
        try:
            if not self._tell("call", *call):
                self._wait(lambda: self._is_gone, _EXIT_S)
                return None
            self._wait(lambda: self._is_over() or cancel.reason is not None)
            if not self._is_over() and cancel.reason is not None:
                self._tell("stop", packed_error(cancel.reason))
                self._wait(self._is_over, limit.wait_s(cancel.reason))
            return self._done
        finally:
            forget()

    def end(self) -> None:
        """Ends the process and all that it has started. One that has closed its pipe has an end of its own."""
        if self._is_gone:
            self.exit_code(_EXIT_S)
        self.kill()
        self.exit_code(_EXIT_S)

    def kill(self) -> None:
        """Kills the process and all that it has started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._wire.close()

    def ask_to_end(self) -> None:
        """Lets the process exit by itself."""
        self._tell("end")

    def exit_code(self, within_s: float) -> int | None:
        """The exit code, or minus the number of the signal that ended it. None if it still runs."""
        import subprocess

        try:
            return self._process.wait(max(0.0, within_s))
        except subprocess.TimeoutExpired:
            return None

    def _is_over(self) -> bool:
        return self._done is not None or self._is_gone

    def _wait(self, until: Callable[[], bool], within_s: float | None = None) -> None:
        with self._changed:
            self._changed.wait_for(until, within_s)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _tell(self, *message: Any) -> bool:
        try:
            self._wire.send(*message)
        except OSError:
            return False
        return True

    def _read(self) -> None:
        for kind, *more in self._wire.messages(lambda: self._process.poll() is None):
            if kind == "done":
                self._done = _Done(*more)
                self._wake()
            else:
                self._answer(*more)
        self._is_gone = True
        self._wake()

    def _answer(self, number: int | None, name: str, args: tuple[Any, ...]) -> None:
        """Does what the process asks of the run. Without a number it wants no answer."""
        try:
            answer, is_value = self._answers[name](*args), True
        except BaseException as error:
            answer, is_value = packed_error(error), False
        if number is None:
            return
        try:
            self._tell("answer", number, is_value, answer)
        except Exception as error:
            # Such as a fake of a test that pickle cannot copy.
            self._tell("answer", number, False, packed_error(error))


class Children:
    """The processes of one run. Safe for several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._is_over = False

    def call(self, call: TaskCall, calls: CallLedger, cancel: Cancel) -> Any:
        """Runs one try of a call in a process, and returns its result.

        Raises:
            TaskProcessEnded: the process ended without an outcome.
            NotPicklable: names the argument.
            BaseException: what the function raised, or the reason to stop.
        """
        made = _head_of(call), _pickled(call)
        child = self._taken(cancel)
        done: _Done | None = None
        try:
            limit = Limit(ms_of("timeout_grace", call.options.timeout_grace), lambda: None)
            done = child.run(made, _answers_of(call, calls), cancel, limit)
        finally:
            # After a request to stop, what the function has started must not go on either.
            self._give_back(child, is_fit=done is not None and cancel.reason is None)
        if done is None or not done.is_value:
            # Not the copy of the reason that the process raised.
            cancel.raise_if_asked()
        if done is None:
            raise TaskProcessEnded(call.options.name, child.exit_code(_EXIT_S))
        if not done.is_value:
            raise unpacked_error(done.packed)
        return _unpickled(call, done.packed)

    def close(self) -> None:
        """Ends all processes, and what they have started."""
        with self._changed:
            self._is_over = True
            children = list(self._all)
            self._all.clear()
            self._idle.clear()
            self._changed.notify_all()
        for child in children:
            child.ask_to_end()
        until = time.monotonic() + _END_S
        for child in children:
            child.exit_code(until - time.monotonic())
            child.kill()
            child.exit_code(_EXIT_S)

    def _taken(self, cancel: Cancel) -> _Child:
        forget = cancel.listen(lambda _: self._wake())
        try:
            with self._changed:
                while True:
                    cancel.raise_if_asked()
                    if self._is_over:
                        raise Cancelled("the flow has ended")
                    while self._idle:
                        child = self._idle.pop()
                        if not child.is_gone:
                            return child
                        self._all.discard(child)
                        child.end()
                    if len(self._all) < _CHILDREN_MAX:
                        child = _Child()
                        self._all.add(child)
                        return child
                    self._changed.wait()
        finally:
            forget()

    def _give_back(self, child: _Child, is_fit: bool) -> None:
        with self._changed:
            is_kept = is_fit and not self._is_over and not child.is_gone
            if is_kept:
                self._idle.append(child)
            else:
                self._all.discard(child)
            self._changed.notify()
        if not is_kept:
            child.end()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _answers_of(call: TaskCall, calls: CallLedger) -> Mapping[str, Callable[..., Any]]:
    """What the function of a call may ask of the run, by name."""
    run = call.scope.run
    host, earlier = run.host, run.checkpoints.earlier

    def path_of(name: str, key: Any) -> str:
        path, settled = calls.name(name, key, "value")
        settled()
        return path

    return {
        "path_of": path_of,
        "instant_at": earlier.instant_at,
        "value_at": earlier.value_at,
        "note_value": earlier.note_value,
        "post": host.records.post,
        "post_held": lambda record: (host.records.post_held(record), None)[1],
        "post_stored": host.records.post_stored,
        "save": host.store.save,
        "sync": host.store.sync,
        "load": host.store.load,
        "secret": host.secret,
        "settings_of": host.settings_of,
        "has_fake": lambda name: name in host.fakes,
        "fake": lambda name: host.fakes[name],
    }


def _head_of(call: TaskCall) -> ChildCall:
    run, options = call.scope.run, call.options
    return ChildCall(
        task=options.name,
        path=call.path,
        place=place_of(options.name, call.source),
        facts=run.host.facts,
        hashes=run.host.store.hashes,
        flow=run.flow,
        origin=run.host.resume.origin,
        grace_ms=ms_of("timeout_grace", options.timeout_grace),
        captures=PROCESS.records is not None,
    )


def _pickled(call: TaskCall) -> bytes:
    """The arguments of a call."""
    args, kwargs = call.fn.args, call.fn.keywords
    try:
        return pickle.dumps((args, kwargs), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        named = [*((f"argument {at + 1}", one) for at, one in enumerate(args)), *kwargs.items()]
        at_fault = next((name for name, one in named if not _is_picklable(one)), "an argument")
        raise NotPicklable(
            call.options.name, f"{at_fault} cannot be sent to another process: {error}.", _NEXT
        ) from error


def _is_picklable(value: Any) -> bool:
    try:
        pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return False
    return True


def _unpickled(call: TaskCall, data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except Exception as error:
        text = f"the result cannot be read in the flow's process: {error}."
        raise NotPicklable(call.options.name, text, "Return plain data.") from error
