"""The channel between a worker and a process that it has started: one line of JSON a message, over a socket."""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
from collections.abc import Mapping
from typing import Any

from .forks import close_in_child

_CHANNEL_FD = "NODE_CHANNEL_FD"
"""Where Node tells a child process the number of its end of the socket."""
_READ_BYTES = 65536


class Channel:
    """The messages of the worker. Until it is closed, this process ends with its worker."""

    def __init__(self, fd: int) -> None:
        # A child process of the author must not keep the channel open.
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        close_in_child(self._socket)
        self._messages: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._is_closed = False
        threading.Thread(target=self._read, name="towpath-channel", daemon=True).start()

    def next(self) -> Mapping[str, Any]:
        """The next message of the worker. Waits for it."""
        return self._messages.get()

    def tell(self, message: object) -> None:
        """Sends a message. A worker that is gone does not get it."""
        try:
            # Whole messages, also of several threads.
            with self._sending:
                self._socket.sendall(json.dumps(message).encode("ascii") + b"\n")
        except OSError:
            pass

    def close(self) -> None:
        """From now on this process outlives its worker."""
        self._is_closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _read(self) -> None:
        rest = b""
        while piece := self._receive():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._messages.put(json.loads(line))
        if not self._is_closed:
            os._exit(0)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_READ_BYTES)
        except OSError:
            return b""


def open_channel() -> Channel:
    """The channel to the worker that started this process. Child processes do not learn of it."""
    os.environ.pop("NODE_CHANNEL_SERIALIZATION_MODE", None)
    return Channel(int(os.environ.pop(_CHANNEL_FD)))
