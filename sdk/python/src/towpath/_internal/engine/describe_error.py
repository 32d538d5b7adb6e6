"""Errors as records carry them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..problem import FromEarlier
from ..text import cut_for_worker

_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep

STACK = "__towpath_stack__"
"""The attribute of an error of another process: its traceback there, as text."""


def describe_error(error: BaseException) -> dict[str, str]:
    """The name, message and stack of an error, within the limits of the run protocol.

    The stack has the author's frames only, with files relative to the current folder, and the causes and parts.
    """
    name = getattr(error, "name", None) if isinstance(error, FromEarlier) else type(error).__name__
    return {
        "name": cut_for_worker(str(name)),
        "message": cut_for_worker(_text(error)),
        "stack": cut_for_worker(stack_of(error)),
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

    told = vars(error).get(STACK)
    if isinstance(told, str):
        return told
    made = traceback.TracebackException.from_exception(error)
    _trim(made, set())
    return "".join(made.format()).rstrip("\n")


def caused_by(cause: BaseException, stack: str) -> str:
    """The stack of an error of another process, with what this process knows as its cause."""
    import traceback

    head = "".join(traceback.format_exception_only(type(cause), cause))
    return f"{head}\nThe above exception was the direct cause of the following exception:\n\n{stack}"


def _trim(made: Any, seen: set[int]) -> None:
    if id(made) in seen:
        return
    seen.add(id(made))
    kept = [frame for frame in made.stack if not _is_ours(frame.filename)]
    made.stack[:] = [_from_here(frame) for frame in (kept or made.stack)]
    for below in (made.__cause__, made.__context__, *(getattr(made, "exceptions", None) or ())):
        if below is not None:
            _trim(below, seen)


def _is_ours(file: str) -> bool:
    """Whether a file is of this package, or of Python's own way to import a module."""
    return (
        file.startswith("<frozen importlib")
        or file == importlib.__file__
        or os.path.abspath(file).startswith(_OWN_FOLDER)
    )


def _from_here(frame: Any) -> Any:
    here = os.getcwd() + os.sep
    if frame.filename.startswith(here):
        frame.filename = frame.filename[len(here) :]
    return frame


def raised_again(described: Mapping[str, Any]) -> Exception:
    """An error of an earlier attempt, of the same class if this process has loaded it. Only its message survives, and no
    code of the author's class runs."""
    name, message = str(described.get("name", "Error")), str(described.get("message", ""))
    stack = described.get("stack")
    kind = _loaded_class(name, stack if isinstance(stack, str) else "")
    if kind is None:
        return FromEarlier(name, message, stack)
    error = _made(kind, _key_of(message) if kind is KeyError else message)
    return error if error is not None else FromEarlier(name, message, stack)


def _made(kind: type[Exception], argument: Any) -> Exception | None:
    """An error of a class with one argument. None if the class cannot have that alone, such as a UnicodeDecodeError."""
    # A built-in class with a layout of its own, such as OSError, must make its instances itself.
    builtin: Any = next(one for one in kind.__mro__ if one.__module__ == "builtins")
    try:
        error: Exception = builtin.__new__(kind)
    except TypeError:
        return None
    error.args = (argument,)
    if builtin.__str__ is BaseException.__str__ or isinstance(error, KeyError):
        return error
    return error if builtin.__str__(error) == str(argument) else None


def _loaded_class(name: str, stack: str) -> type[Exception] | None:
    """The class of that name among those that the author's code has imported. None if there is none, or several."""
    found = {one for one in _subclasses(Exception) if one.__name__ == name}
    if len(found) > 1:
        told = {line.partition(":")[0] for line in stack.splitlines()}
        found = {one for one in found if _name_in_stack(one) in told} or found
    return found.pop() if len(found) == 1 else None


def _name_in_stack(kind: type[Exception]) -> str:
    """The name of a class as a traceback has it."""
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


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
