"""HTTP/1.1 over the worker's Unix socket, as much of it as the run protocol needs."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..engine.forks import close_in_child
from ..problem import CallRefused, GatewayRefused

_PIECE_BYTES = 65536


class Address(NamedTuple):
    """Where a worker's gateway is."""

    socket: str
    token_file: str


class GatewayAway(Exception):
    """The gateway did not answer. Try again."""


class Answer(NamedTuple):
    """A status and its parsed body."""

    status: int
    body: Any

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def is_busy(self) -> bool:
        """Whether the gateway may accept the same request later."""
        return self.status in (408, 425, 429) or self.status >= 500

    def refusal(self, request: str) -> GatewayRefused:
        """The error for an answer that will not change if the request is repeated."""
        return GatewayRefused(f"The worker refused {request}: {self._field('detail', f'status {self.status}')}")

    def call_refusal(self) -> CallRefused:
        """The error for a call that the control plane or the worker refused."""
        detail = self._field("detail", f"The call was refused with status {self.status}.")
        return CallRefused(self._field("code", "call-refused"), detail)

    def _field(self, name: str, fallback: str) -> str:
        found = self.body.get(name) if isinstance(self.body, Mapping) else None
        return found if isinstance(found, str) else fallback


class Connection:
    """One connection. Not safe for several threads at once, but any thread may close it."""

    def __init__(self, address: Address) -> None:
        try:
            with open(address.token_file, encoding="ascii") as file:
                self._token = file.read().strip()
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            close_in_child(self._socket)
        except OSError as cause:
            raise GatewayAway("The worker cannot be reached.") from cause
        try:
            self._socket.connect(address.socket)
        except OSError as cause:
            self._socket.close()
            raise GatewayAway("The worker cannot be reached.") from cause
        self._rest = b""
        self._piece = memoryview(bytearray(_PIECE_BYTES))

    def close(self) -> None:
        """Ends a request that is waiting in another thread, too."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """The head of a request."""
        lines = (f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {self._token}", *headers, "", "")
        return "\r\n".join(lines).encode("latin-1")

    def send(self, data: bytes) -> None:
        """@raises GatewayAway"""
        try:
            self._socket.sendall(data)
        except OSError as cause:
            raise GatewayAway("The worker closed the connection.") from cause

    def read_head(self) -> tuple[int, dict[str, str]]:
        """The status and headers of an answer, the headers' names in small letters. @raises GatewayAway"""
        first = self._line().split(b" ", 2)
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        try:
            return int(first[1]), headers
        except (IndexError, ValueError) as cause:
            raise GatewayAway("The answer is not HTTP.") from cause

    def read_body(self, headers: Mapping[str, str]) -> bytes:
        """The whole body of an answer. @raises GatewayAway"""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            pieces = []
            while piece := self.read_chunk():
                pieces.append(piece)
            return b"".join(pieces)
        return self._exactly(int(headers.get("content-length", "0")))

    def read_chunk(self) -> bytes:
        """The next chunk, empty after the last one. @raises GatewayAway"""
        try:
            size = int(self._line().split(b";")[0], 16)
        except ValueError as cause:
            raise GatewayAway("The answer is not HTTP.") from cause
        data = self._exactly(size)
        self._line()
        return data

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            self._more()
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _more(self) -> None:
        try:
            # Not recv(): it allocates all that may come, and gives most of it back. In many threads, that fragments the heap.
            size = self._socket.recv_into(self._piece)
        except OSError as cause:
            raise GatewayAway("The worker closed the connection.") from cause
        if size == 0:
            raise GatewayAway("The worker closed the connection.")
        self._rest += self._piece[:size]


def exchange(
    connection: Connection, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
) -> Answer:
    """Sends one request and reads its answer. @raises GatewayAway"""
    headers = [] if body is None else [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    connection.send(connection.head(method, path, *headers) + (body or b""))
    status, answered = connection.read_head()
    return Answer(status, parsed(connection.read_body(answered)))


def parsed(data: bytes) -> Any:
    """JSON of an answer; None for an empty body. @raises GatewayAway"""
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except ValueError as cause:
        raise GatewayAway("The answer is not JSON.") from cause
