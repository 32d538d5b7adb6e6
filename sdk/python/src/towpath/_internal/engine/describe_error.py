"""Errors as records carry them."""

from __future__ import annotations

import builtins
import os
from typing import Any, Mapping

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
    """An error of an earlier attempt. Its class survives only if it is a built-in one."""
    name, message = str(described.get("name", "Error")), str(described.get("message", ""))
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            error = kind(message)
        except Exception:
            # Some built-in errors need other arguments, such as UnicodeDecodeError.
            error = FromEarlier(name, message, described.get("stack"))
        return error
    return FromEarlier(name, message, described.get("stack"))
