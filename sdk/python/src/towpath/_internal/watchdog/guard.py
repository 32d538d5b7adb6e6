"""The program of the watchdog: a child process of a flow's process, which it kills when a task blocks it.

It gets lines of JSON by a pipe: `{"id", "at", "graceS", "thread", "report"}` watches a try until a time of the monotonic
clock, `{"id"}` ends that, and `{"seq", ...}` is a copy of a record that the worker may not have yet. It ends with the flow's
process, whatever ends that.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..clock import SYSTEM_CLOCK, instant
from ..gateway.http import Address, Connection, GatewayAway, exchange
from ..text import cut_for_worker
from .stack import Stack, stack_in

_GATHER_S = 0.02
"""How long messages gather, so that thousands of short tasks do not wake this process thousands of times."""
_READ_BYTES = 1024 * 1024
_AGAIN_S = 1.0
"""How long a try that is over its time keeps its process until it is looked at again."""
_LATE_S = 1.0
"""If this process is so late, the machine or both processes were suspended."""
_TICK_S = 1.0
"""How often this process checks that the flow's process is there, where the system does not tell."""
_STACK_S = 2.0
"""How long the stack may take."""
_STACK_QUIET_S = 0.2
"""A stack is complete when nothing more came for this long."""
_STACK_CHARS_MAX = 4 * 1024 * 1024
_STOP_S = 2.0
_REPORT_S = 60.0
"""How long the worker may be away before the process is killed without a report."""
_REPORT_PAUSE_S = 0.25
_COPIES_MAX = 2000
"""Copies of records that are kept. The worker gets a record within some milliseconds, unless the process is blocked."""
_COPIES_BYTES_MAX = 8 * 1024 * 1024
_BATCH_BYTES_MAX = 512 * 1024
_COPY = b'{"seq":'


@dataclass
class _Try:
    """A try that is watched."""

    at: float
    grace_s: float
    thread: int
    report: Mapping[str, Any]
    was_over: bool = False


class _Flow:
    """The flow's process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd: int | None = None
        if sys.platform == "linux":
            try:
                # It tells the end at once, even where a forked child of the author keeps the pipe open.
                self.fd = os.pidfd_open(pid)
            except OSError:
                pass

    def is_there(self) -> bool:
        return os.getppid() == self.pid

    def send(self, number: int) -> None:
        try:
            if sys.platform == "linux" and self.fd is not None:
                signal.pidfd_send_signal(self.fd, number)
            elif self.is_there():
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def is_stopped(self) -> bool:
        """Whether it is suspended, or a debugger holds it. Each of its threads is."""
        return all(state in ("T", "t") for state in self._states())

    def handles(self, number: int) -> bool:
        """Whether it handles a signal that would end it otherwise. True where the system does not say."""
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
                caught = next((int(line.split()[1], 16) for line in file if line.startswith("SigCgt:")), 0)
        except OSError:
            return sys.platform != "linux"
        return bool(caught >> (number - 1) & 1)

    def _states(self) -> list[str]:
        if sys.platform == "linux":
            folder = f"/proc/{self.pid}/task"
            try:
                return [_state_in(f"{folder}/{thread}/stat") for thread in os.listdir(folder)]
            except OSError:
                return [""]
        import subprocess

        told = subprocess.run(["ps", "-o", "state=", "-p", str(self.pid)], capture_output=True, text=True)
        return [told.stdout.strip()[:1]]


def _state_in(file: str) -> str:
    """The state of a thread. One that has just ended counts as stopped."""
    try:
        with open(file, encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].strip()[:1]
    except OSError:
        return "T"


class Guard:
    """Watches the tries of one process."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._flow = _Flow(told["pid"])
        self._control: int = told["control"]
        self._stacks: int = told["stacks"]
        self._signal: int = told["signal"]
        self._here: str = told["here"]
        self._address = None if told["socket"] is None else Address(told["socket"], told["tokenFile"])
        self._tries: dict[int, _Try] = {}
        self._rest = b""
        self._copies: dict[int, bytes] = {}
        self._copied_bytes = 0
        # Without an event it reports only that the pipe was closed.
        self._closed = select.poll()
        self._closed.register(self._control, 0)

    def run(self) -> None:
        """Returns once the flow's process has ended, or was killed."""
        while self._flow.is_there():
            if not self._wait():
                return
            over = min(self._tries, key=lambda one: self._tries[one].at, default=None)
            if over is not None and self._is_over(self._tries[over]) and self._end(over):
                return

    def _wait(self) -> bool:
        """Waits for messages, or for the end of a try. @returns False if the flow's process has ended"""
        first = min((one.at for one in self._tries.values()), default=None)
        wait_s = None if first is None else max(0.0, first - time.monotonic())
        if self._flow.fd is None:
            wait_s = _TICK_S if wait_s is None else min(wait_s, _TICK_S)
        fds = [self._control] if self._flow.fd is None else [self._control, self._flow.fd]
        ready, _, _ = select.select(fds, [], [], wait_s)
        if self._flow.fd in ready:
            return False
        if self._control in ready:
            self._closed.poll(_GATHER_S * 1000)
            return self._take()
        return True

    def _take(self) -> bool:
        """Takes the messages that are there. @returns False after the last one"""
        while select.select([self._control], [], [], 0)[0]:
            data = os.read(self._control, _READ_BYTES)
            if not data:
                return False
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                if line.startswith(_COPY):
                    self._keep(line)
                else:
                    self._note(json.loads(line))
        return True

    def _keep(self, line: bytes) -> None:
        self._copies[int(line[len(_COPY) : line.index(b",")])] = line
        self._copied_bytes += len(line)
        while len(self._copies) > _COPIES_MAX or self._copied_bytes > _COPIES_BYTES_MAX:
            self._copied_bytes -= len(self._copies.pop(next(iter(self._copies))))

    def _note(self, message: Mapping[str, Any]) -> None:
        if "at" in message:
            self._tries[message["id"]] = _Try(message["at"], message["graceS"], message["thread"], message["report"])
        else:
            self._tries.pop(message["id"], None)

    def _is_over(self, one: _Try) -> bool:
        """Whether a try is over its time, and its process could have ended it."""
        late_s = time.monotonic() - one.at
        if late_s < 0:
            return False
        if late_s > _LATE_S or self._flow.is_stopped():
            # Its process had no chance: it gets its grace again, from now on.
            one.at = time.monotonic() + max(one.grace_s, _AGAIN_S)
            one.was_over = False
            return False
        if not one.was_over:
            one.at = time.monotonic() + _AGAIN_S
            one.was_over = True
            return False
        return True

    def _end(self, number: int) -> bool:
        """Reports a try and kills its process. @returns False if the try has ended meanwhile"""
        one = self._tries[number]
        stack = self._stack(one.thread)
        # From here on the process records nothing, so that the report cannot contradict it.
        self._flow.send(signal.SIGSTOP)
        end = signal.SIGKILL
        try:
            self._until_stopped()
            is_open = self._take()
            if is_open and number in self._tries:
                self._report(one.report, stack)
            else:
                end = signal.SIGCONT
            return number in self._tries or not is_open
        finally:
            self._flow.send(end)

    def _stack(self, thread: int) -> Stack:
        """Where a thread of the process stands. `faulthandler` writes it even while another thread holds the interpreter."""
        data = b""
        until = time.monotonic() + _STACK_S
        if self._flow.handles(self._signal):
            self._flow.send(self._signal)
            while (left := until - time.monotonic()) > 0 and len(data) < _STACK_CHARS_MAX:
                ready, _, _ = select.select([self._stacks], [], [], min(left, _STACK_QUIET_S) if data else left)
                piece = os.read(self._stacks, _READ_BYTES) if ready else b""
                if not piece:
                    break
                data += piece
        return stack_in(data.decode("utf-8", "replace"), thread)

    def _until_stopped(self) -> None:
        until = time.monotonic() + _STOP_S
        while not self._flow.is_stopped() and self._flow.is_there() and time.monotonic() < until:
            time.sleep(0.005)

    def _report(self, report: Mapping[str, Any], stack: Stack) -> None:
        place = stack.place(self._here)
        said = [report["message"], *([] if place is None else [f"It was at {place}."]), report["next"]]
        message = " ".join(said)
        traceback = stack.traceback(self._here, f"{report['kind']}: {message}")
        if self._address is None:
            sys.stderr.write(f"{traceback}\n")
            return
        error = {
            "name": report["kind"].rpartition(".")[2],
            "message": cut_for_worker(message),
            "stack": cut_for_worker(traceback),
        }
        at = instant(SYSTEM_CLOCK)
        task = {key: report[key] for key in ("path", "name", "tries")}
        outcome = {"outcome": "failed", "cause": "timeout", "failedBy": [report["path"]]}
        self._send(
            {"type": "task", "at": at, **task, "move": "fail", "error": error},
            {"type": "outcome", "at": at, **outcome, "error": error},
        )

    def _send(self, *records: Mapping[str, Any]) -> None:
        """Sends the last records of the process. The worker knows what it got before."""
        until = time.monotonic() + _REPORT_S
        while self._flow.is_there() and time.monotonic() < until:
            acked = self._acked()
            # What the process sent last may still be on its way.
            time.sleep(_GATHER_S)
            if acked is not None and acked == self._acked():
                rest = self._after(acked)
                if self._has_sent(rest or [_line(acked + at, one) for at, one in enumerate(records, 1)]) and not rest:
                    return
            else:
                time.sleep(_REPORT_PAUSE_S)

    def _after(self, acked: int) -> list[bytes]:
        """The next records that the process has made and the worker does not have, such as the last lines of the log."""
        lines: list[bytes] = []
        size = 0
        while (line := self._copies.get(acked + 1 + len(lines))) is not None and size + len(line) < _BATCH_BYTES_MAX:
            lines.append(line)
            size += len(line)
        return lines

    def _acked(self) -> int | None:
        answer = self._ask("GET", "/context", None)
        return None if answer is None else answer.get("acked")

    def _has_sent(self, lines: list[bytes]) -> bool:
        return self._ask("POST", "/records", b"\n".join(lines) + b"\n") is not None

    def _ask(self, method: str, path: str, body: bytes | None) -> Mapping[str, Any] | None:
        """The answer of the worker. None if it is away or refuses."""
        if self._address is None:
            return None
        try:
            connection = Connection(self._address)
            try:
                answer = exchange(connection, method, path, body, "application/x-ndjson")
            finally:
                connection.close()
        except GatewayAway:
            return None
        return answer.body if answer.is_ok and isinstance(answer.body, Mapping) else None


def _line(seq: int, record: Mapping[str, Any]) -> bytes:
    return json.dumps({"seq": seq, **record}).encode("ascii")


def main() -> None:
    """Watches the process that has started this one."""
    # They are meant for the flow.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    Guard(json.loads(sys.argv[1])).run()
