"""Errors as records carry them."""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping

from ..problem import FromEarlier

_MESSAGE_CHARS_MAX = 4096
_STACK_CHARS_MAX = 16_384
_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


def describe_error(error: BaseException) -> dict[str, str]:
    """The name, message and stack of an error, within the limits of the run protocol.

    The stack has the author's frames only, with files relative to the current folder, and the causes and parts.
    """
    name = getattr(error, "name", None) if isinstance(error, FromEarlier) else type(error).__name__
    return {
        "name": str(name)[:_MESSAGE_CHARS_MAX],
        "message": _text(error)[:_MESSAGE_CHARS_MAX],
        "stack": stack_of(error)[:_STACK_CHARS_MAX],
    }


def _text(error: BaseException) -> str:
    if isinstance(error, KeyError) and len(error.args) == 1:
        # str() of a KeyError is the bare key in quotes.
        return f"{error.args[0]!r}"
    try:
        return str(error) or "(no message)"
    except Exception:
        return "(no message)"


def stack_of(error: BaseException) -> str:
    """The traceback of an error without the frames of this package."""
    import traceback

    made = traceback.TracebackException.from_exception(error)
    _trim(made, set())
    return "".join(made.format()).rstrip("\n")


def _trim(made: Any, seen: set[int]) -> None:
    if id(made) in seen:
        return
    seen.add(id(made))
    kept = [frame for frame in made.stack if not os.path.abspath(frame.filename).startswith(_OWN_FOLDER)]
    made.stack[:] = [_from_here(frame) for frame in (kept or made.stack)]
    for below in (made.__cause__, made.__context__, *(getattr(made, "exceptions", None) or ())):
        if below is not None:
            _trim(below, seen)


def _from_here(frame: Any) -> Any:
    here = os.getcwd() + os.sep
    if frame.filename.startswith(here):
        frame.filename = frame.filename[len(here) :]
    return frame


def raised_again(described: Mapping[str, Any]) -> Exception:
    """An error of an earlier attempt, of the same class if this process has loaded it. Only its message survives, and no
    code of the class runs."""
    name, message = str(described.get("name", "Error")), str(described.get("message", ""))
    stack = described.get("stack")
    kind = _loaded_class(name, stack if isinstance(stack, str) else "")
    if kind is None:
        return FromEarlier(name, message, stack)
    error: Exception = BaseException.__new__(kind)
    error.args = (_key_of(message) if kind is KeyError else message,)
    return error


def _loaded_class(name: str, stack: str) -> type[Exception] | None:
    """The class of that name among those that the author's code has imported. None if there is none, or several."""
    found = {one for one in _subclasses(Exception) if one.__name__ == name}
    if len(found) > 1:
        found = {one for one in found if f"{one.__module__}.{one.__qualname__}:" in stack} or found
    return found.pop() if len(found) == 1 else None


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _subclasses(below)


def _key_of(message: str) -> Any:
    """The key of a KeyError, whose message is its `repr`."""
    import ast

    try:
        return ast.literal_eval(message)
    except (ValueError, SyntaxError):
        return message
