"""Messages between the process of a flow and those of its tasks. They are pickled: both ends are one program, started by
one attempt, and nobody else has the pipe."""

from __future__ import annotations

import io
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..engine.describe_error import STACK, describe_error
from ..engine.forks import close_in_child
from ..problem import FromEarlier

_HEAD_BYTES = 8
_READ_BYTES = 1024 * 1024
_LOOK_S = 1.0
"""How often an end looks whether the other one lives. A process that it has forked may keep the pipe open."""
_CAUSES_MAX = 10


class Wire:
    """One end. Any thread may send; one thread reads."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        close_in_child(end)
        self._sending = threading.Lock()

    def send(self, *message: Any) -> None:
        """Sends a message.

        Raises:
            OSError: the other end is gone.
            Exception: what pickle raises. Then nothing was sent.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._end.sendall(len(data).to_bytes(_HEAD_BYTES, "big"))
            self._end.sendall(data)

    def messages(self, is_alive: Callable[[], bool]) -> Iterator[Any]:
        """The messages of the other end, until it is gone."""
        reader = _Reader(self._end, is_alive)
        while (head := reader.read(_HEAD_BYTES)) is not None:
            data = reader.read(int.from_bytes(head, "big"))
            if data is None:
                return
            yield pickle.loads(data)

    def close(self) -> None:
        """Ends the connection, and the other end's `messages`."""
        try:
            self._end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._end.close()


class _Reader:
    def __init__(self, end: socket.socket, is_alive: Callable[[], bool]) -> None:
        self._end = end
        self._is_alive = is_alive
        self._rest = bytearray()

    def read(self, size: int) -> bytes | None:
        while len(self._rest) < size:
            piece = self._piece()
            if not piece:
                return None
            self._rest += piece
        found = bytes(self._rest[:size])
        del self._rest[:size]
        return found

    def _piece(self) -> bytes:
        import select

        try:
            while not select.select([self._end], [], [], _LOOK_S)[0]:
                if not self._is_alive():
                    return b""
            return self._end.recv(_READ_BYTES)
        except (OSError, ValueError):
            return b""


def packed_error(error: BaseException, depth: int = 0) -> Any:
    """An error with its stack and causes, as plain data that any process can read."""
    described = describe_error(error)
    below = depth + 1
    cause, context = error.__cause__, error.__context__
    return {
        "described": described,
        "pickled": _pickled_error(error),
        "cause": None if cause is None or below > _CAUSES_MAX else packed_error(cause, below),
        "context": None if context is None or context is cause or below > _CAUSES_MAX else packed_error(context, below),
        "suppress": error.__suppress_context__,
    }


def unpacked_error(packed: Any) -> BaseException:
    """The error of another process. One that cannot be made again here is a FromEarlier with its name and message."""
    described = packed["described"]
    error = _unpickled_error(packed["pickled"])
    if error is None:
        error = FromEarlier(described["name"], described["message"], described["stack"])
    error.__cause__ = None if packed["cause"] is None else unpacked_error(packed["cause"])
    error.__context__ = None if packed["context"] is None else unpacked_error(packed["context"])
    error.__suppress_context__ = packed["suppress"]
    vars(error)[STACK] = described["stack"]
    return error


def _pickled_error(error: BaseException) -> bytes | None:
    """The class, arguments and attributes of an error. Not its `__init__`: a class whose `__init__` has other parameters
    than the message could not be made again."""
    state = {name: value for name, value in vars(error).items() if not name.startswith("__")}
    whole: Any = error if type(error).__reduce__ is not BaseException.__reduce__ else (type(error), error.args, state)
    attempts: tuple[Any, Any] = (whole, (type(error), error.args, {}))
    for made in attempts:
        try:
            data = pickle.dumps(made, pickle.HIGHEST_PROTOCOL)
            _made_error(pickle.loads(data))
            return data
        except Exception:
            continue
    return None


def _unpickled_error(data: bytes | None) -> BaseException | None:
    try:
        return None if data is None else _made_error(pickle.load(io.BytesIO(data)))
    except Exception:
        return None


def _made_error(made: Any) -> BaseException:
    if isinstance(made, BaseException):
        return made
    kind, args, state = made
    builtin: Any = next(one for one in kind.__mro__ if one.__module__ == "builtins")
    error: BaseException = kind.__new__(kind, *args)
    builtin.__init__(error, *args)
    error.args = args
    vars(error).update(state)
    str(error)
    return error
