"""Sends a run's records to its worker.

There is no thread that all records go through. Whoever needs an acknowledgement takes the socket and sends for all. A
thread sends only what nobody waits for, such as log lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..problem import GatewayRefused
from .backoff import Backoff
from .http import Address, Answer, Connection, GatewayAway, exchange, parsed

_NDJSON = "application/x-ndjson"
_RECORDS_MAX = 10_000
"""With this many unsent records, posting waits."""
_BYTES_MAX = 8 * 1024 * 1024
_BATCH_RECORDS_MAX = 1000
_BATCH_BYTES_MAX = 1024 * 1024
_GATHER_S = 0.002
"""How long a record waits for later ones if nobody waits for it."""
_TOO_LARGE = 413
_NOT_FOUND = 404

Record = Mapping[str, Any]


class _Stream:
    """`POST /stream`: one request for the whole run. If the connection breaks, the next batch opens it again."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._rest = b""
        self._is_answered = False

    def post(self, body: bytes) -> Answer:
        """Sends a batch and reads its answer. @raises GatewayAway"""
        try:
            return self._post(body)
        except GatewayAway:
            self.close()
            raise

    def _post(self, body: bytes) -> Answer:
        connection = self._connection
        # An empty line ends the batch.
        chunk = b"%x\r\n%b\n\r\n" % (len(body) + 1, body)
        if connection is None:
            connection = self._connection = Connection(self._address)
            self._rest, self._is_answered = b"", False
            head = connection.head("POST", "/stream", f"Content-Type: {_NDJSON}", "Transfer-Encoding: chunked")
            chunk = head + chunk
        connection.send(chunk)
        if not self._is_answered:
            status, headers = connection.read_head()
            if status != 200:
                answer = Answer(status, parsed(connection.read_body(headers)))
                self.close()
                return answer
            self._is_answered = True
        while True:
            message = parsed(self._line(connection))
            if isinstance(message, dict) and "stored" not in message:
                return Answer(message.get("status", 200), message)

    def _line(self, connection: Connection) -> bytes:
        while (end := self._rest.find(b"\n")) < 0:
            piece = connection.read_chunk()
            if not piece:
                raise GatewayAway("The worker ended the stream.")
            self._rest += piece
        line, self._rest = self._rest[:end], self._rest[end + 1 :]
        return line

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def printed_sizes() -> dict[str, int]:
    """What this process and its children have printed so far, bytes. The worker numbers it before the log line."""
    sizes = {}
    for name, fd in (("stdout", 1), ("stderr", 2)):
        try:
            sizes[name] = os.fstat(fd).st_size
        except OSError:
            # The author has closed it.
            sizes[name] = 0
    return sizes


class _NewestLine:
    """Tells the worker the number of the newest log line, so that it numbers later output after that line."""

    def __init__(self) -> None:
        path = os.environ.get("TOWPATH_NEWEST_LINE_FILE")
        try:
            # A worker of an earlier release names no file.
            self._fd = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            self._fd = None

    def note(self, seq: int) -> None:
        if self._fd is not None:
            os.pwrite(self._fd, seq.to_bytes(8, "little"), 0)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _line_of(record: Record) -> bytes:
    """A record as a line. An artifact may be nearly as long as a line: as ASCII, text of other alphabets would take twice the room."""
    is_ascii = record["type"] != "artifact"
    line = json.dumps(record, separators=(",", ":"), allow_nan=False, ensure_ascii=is_ascii)
    # Half of a surrogate pair becomes the escape that JSON has for it.
    return line.encode("utf-8", "backslashreplace")


class Sender:
    """The records that the gateway does not hold yet, in sequence. Safe for several threads.

    Records without an acknowledgement are sent again. The gateway ignores those that it has, by their numbers.
    """

    def __init__(self, address: Address, acked: int, on_refused: Callable[[BaseException], None]) -> None:
        self._address = address
        self._stream: _Stream | None = _Stream(address)
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._socket = threading.Lock()
        self._kept: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._seq = acked
        self._acked = acked
        self._batch_max = _BATCH_RECORDS_MAX
        self._held: list[tuple[int, Callable[[BaseException | None], None]]] = []
        self._rejected: dict[int, str] = {}
        self._awaited: set[int] = set()
        self._refused: BaseException | None = None
        self._backoff = Backoff()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._gathers = threading.Lock()
        """Taken for ever by the thread that sends what nobody waits for."""
        self._pid = os.getpid()
        self._newest_line = _NewestLine()
        self._copy: Callable[[bytes], None] | None = None

    def copy_to(self, copy: Callable[[bytes], None]) -> None:
        """Gives each record to a function too, first those that the gateway does not hold yet. It must not wait for a caller
        of this object."""
        with self._lock:
            for _, line in self._kept:
                copy(line)
            self._copy = copy

    def post(self, record: Record) -> None:
        """Adds a record. It waits while there are too many. @raises GatewayRefused"""
        if record["type"] == "log":
            self._newest_line.note(self._add({**record, "printed": printed_sizes()}))
        else:
            self._add(record)
        self._send_soon()

    def post_held(self, record: Record) -> int:
        """Returns the record's number once the gateway holds it. @raises GatewayRefused"""
        seq = self._add(record, awaited=True)
        self._until_held(seq)
        return seq

    def when_held(self, record: Record, then: Callable[[BaseException | None], None]) -> None:
        """Calls a function, in another thread, once the gateway holds the record, or has refused it."""
        seq = self._add(record, awaited=True)
        with self._lock:
            self._held.append((seq, then))
        self._send_soon()

    def post_stored(self, record: Record) -> None:
        """Returns once the control plane has the record. @raises GatewayRefused"""
        seq = self.post_held(record)
        stored = False
        backoff = Backoff()
        while not stored:
            try:
                connection = Connection(self._address)
                try:
                    answer = exchange(connection, "GET", f"/stored?seq={seq}&waitMs=25000")
                finally:
                    connection.close()
            except GatewayAway:
                answer = Answer(503, None)
            if answer.is_busy:
                if not backoff.pause(self._over):
                    raise GatewayRefused("The run has ended.")
                continue
            if not answer.is_ok:
                raise answer.refusal("GET /stored")
            stored = bool(answer.body["stored"])

    def flush(self) -> None:
        """Returns once the gateway holds all that was posted, or nothing more can be sent."""
        with self._lock:
            newest = self._seq
        with contextlib.suppress(GatewayRefused):
            self._until_held(newest)

    def close(self) -> None:
        """Stops sending."""
        self._over.set()
        self._newest_line.close()
        self._wake.set()
        if self._stream is not None:
            self._stream.close()

    def _add(self, record: Record, awaited: bool = False) -> int:
        if os.getpid() != self._pid:
            raise GatewayRefused("A forked process cannot report for the run. Only the flow's own process can.")
        with self._lock:
            while self._refused is None and (len(self._kept) >= _RECORDS_MAX or self._bytes >= _BYTES_MAX):
                self._send_soon()
                self._room.wait()
            if self._refused is not None:
                raise self._refused
            line = _line_of({"seq": self._seq + 1, **record})
            self._seq += 1
            self._kept.append((self._seq, line))
            self._bytes += len(line) + 1
            if self._copy is not None:
                self._copy(line)
            if awaited:
                self._awaited.add(self._seq)
            return self._seq

    def _until_held(self, seq: int) -> None:
        while True:
            with self._socket:
                with self._lock:
                    if self._acked >= seq or self._refused is not None:
                        break
                self._send_once()
        with self._lock:
            self._awaited.discard(seq)
            detail = self._rejected.pop(seq, None)
        if self._refused is not None:
            raise self._refused
        if detail is not None:
            raise GatewayRefused(f"The worker rejected a record: {detail}")

    def _send_soon(self) -> None:
        if not self._gathers.locked() and self._gathers.acquire(blocking=False):
            threading.Thread(target=self._gather, name="towpath-records", daemon=True).start()
        if not self._wake.is_set():
            self._wake.set()

    def _gather(self) -> None:
        while not self._over.is_set():
            self._wake.wait()
            self._wake.clear()
            if not self._held:
                self._over.wait(_GATHER_S)
            while not self._over.is_set():
                with self._socket:
                    with self._lock:
                        if not self._kept or self._refused is not None:
                            break
                    self._send_once()

    def _send_once(self) -> None:
        """Sends the oldest records. The caller has the socket."""
        with self._lock:
            lines: list[bytes] = []
            size = 0
            for _, line in self._kept:
                if len(lines) >= self._batch_max or (lines and size + len(line) > _BATCH_BYTES_MAX):
                    break
                lines.append(line)
                size += len(line) + 1
        answer = self._attempt(b"\n".join(lines) + b"\n")
        if answer is None or answer.is_busy:
            if not self._backoff.pause(self._over):
                self._refuse(GatewayRefused("The run has ended."))
            return
        if answer.status == _TOO_LARGE and len(lines) > 1:
            self._batch_max = (len(lines) + 1) // 2
            return
        self._batch_max = _BATCH_RECORDS_MAX
        if not answer.is_ok or not isinstance(answer.body, Mapping) or not isinstance(answer.body.get("acked"), int):
            self._refuse(answer.refusal("the records"))
            return
        self._backoff.reset()
        self._acknowledge(answer.body["acked"], answer.body.get("rejected") or ())

    def _attempt(self, body: bytes) -> Answer | None:
        try:
            if self._stream is not None:
                answer = self._stream.post(body)
                if answer.status != _NOT_FOUND:
                    return answer
                # A worker of an earlier release has no streams.
                self._stream = None
            connection = Connection(self._address)
            try:
                return exchange(connection, "POST", "/records", body, _NDJSON)
            finally:
                connection.close()
        except GatewayAway:
            return None

    def _acknowledge(self, acked: int, rejected: Any) -> None:
        with self._lock:
            for one in rejected:
                if one.get("seq") in self._awaited:
                    self._rejected[one["seq"]] = str(one.get("detail", ""))
            while self._kept and self._kept[0][0] <= acked:
                self._bytes -= len(self._kept.popleft()[1]) + 1
            self._acked = max(self._acked, acked)
            due = [one for one in self._held if one[0] <= self._acked]
            self._held = [one for one in self._held if one[0] > self._acked]
            details = {seq: self._rejected.pop(seq, None) for seq, _ in due}
            self._awaited.difference_update(details)
            self._room.notify_all()
        for seq, then in due:
            detail = details[seq]
            then(None if detail is None else GatewayRefused(f"The worker rejected a record: {detail}"))

    def _refuse(self, error: BaseException) -> None:
        with self._lock:
            self._refused = error
            due, self._held = self._held, []
            self._room.notify_all()
        for _, then in due:
            then(error)
        if not self._over.is_set():
            self._on_refused(error)
