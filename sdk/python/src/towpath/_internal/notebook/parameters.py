"""The parameters of a notebook, from the names that its parameters cell sets."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal
from uuid import UUID

from ..problem import InvalidDefinition
from .read import Notebook

_PLAIN = (bool, int, float, str, list, dict, tuple, set, type(None), datetime, date, timedelta, Decimal, UUID, PurePath)
"""The classes whose values can be written as source code for the kernel."""
_MODULE = "parameters cell"


def signature_of(book: Notebook) -> inspect.Signature:
    """The signature of a notebook's flow.

    The cell runs here, as the defaults of a function do: a value is a default, an annotation is a type, and an annotation
    without a value is a parameter without a default. Without an annotation, the value's type counts.

    Raises:
        InvalidDefinition: the cell fails, or a type is no plain one.
    """
    cell = book.parameters
    if cell is None:
        return inspect.Signature()
    names: dict[str, Any] = {"__name__": _MODULE}
    try:
        tree = ast.parse(cell.source)
        annotated = _without_types(tree)
        exec(compile(tree, _MODULE, "exec"), names)
        types = {name: _type_from(annotation, names) for name, annotation in annotated.items()}
    except Exception as error:
        line = error.lineno if isinstance(error, SyntaxError) else _line_of(error)
        where = "" if line is None else f" in line {line}"
        raise InvalidDefinition(
            f'notebook "{book.path}": its parameters cell fails{where}: {type(error).__name__}: {error}.',
            next="Write only plain Python in it, without magics.",
        ) from error
    parameters = []
    for name in _assigned(tree, types):
        default = names.get(name, inspect.Parameter.empty)
        kind = types[name] if name in types else _type_of(default)
        if not all(_is_plain(one) for one in _classes_in(kind)):
            raise InvalidDefinition(
                f'notebook "{book.path}": parameter {name} has the type {getattr(kind, "__name__", kind)}.',
                next="Use plain types, dates, UUIDs, decimals, paths, or lists and dicts of them.",
            )
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
    return inspect.Signature(parameters)


def source_of(arguments: Mapping[str, Any], signature: inspect.Signature) -> str:
    """Source code that sets the arguments that are not defaults. Empty if there are none."""
    given = {name: value for name, value in arguments.items() if value is not signature.parameters[name].default}
    return "".join(f"{name} = {_written(value)}\n" for name, value in given.items())


def _without_types(tree: ast.Module) -> dict[str, ast.expr]:
    """Takes the annotations out of the cell, by name. Python evaluates them late or at once, by its version."""
    found: dict[str, ast.expr] = {}
    kept: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node.annotation
            value = node.value
            plain: ast.stmt = ast.Pass() if value is None else ast.Assign(targets=[node.target], value=value)
            kept.append(ast.copy_location(plain, node))
        else:
            kept.append(node)
    tree.body = kept
    return found


def _assigned(tree: ast.Module, annotated: Iterable[str]) -> list[str]:
    """The names that the cell sets at its top, and those that it only annotates, without private ones."""
    found = dict.fromkeys([*_targets(tree), *annotated])
    return [name for name in found if not name.startswith("_")]


def _targets(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _type_from(annotation: ast.expr, names: dict[str, Any]) -> Any:
    found = eval(compile(ast.Expression(annotation), _MODULE, "eval"), names)
    return eval(found, names) if isinstance(found, str) else found


def _line_of(error: BaseException) -> int | None:
    """The line of the cell in which an error was raised."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _MODULE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _type_of(value: Any) -> Any:
    """The type of a default: of a list, also that of its items if all have the same."""
    if value is None or value is inspect.Parameter.empty:
        return Any
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        return list[kinds.pop()] if len(kinds) == 1 and kinds <= {bool, int, float, str} else list  # type: ignore[misc]
    if isinstance(value, PurePath):
        from pathlib import Path

        return Path
    return type(value)


def _classes_in(kind: Any) -> Iterator[Any]:
    """The classes that a type is made of."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is Literal:
        return
    parts = typing.get_args(kind)
    if not parts:
        yield kind
    for part in parts:
        yield from _classes_in(part)


def _is_plain(kind: Any) -> bool:
    if kind in (Any, None, Ellipsis):
        return True
    return isinstance(kind, type) and (kind in _PLAIN or issubclass(kind, PurePath))


def _written(value: Any) -> str:
    """A value as source code that needs no import, so that it sets no other name."""
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_written(item) for item in value]
        if isinstance(value, list):
            return f"[{', '.join(items)}]"
        if isinstance(value, tuple):
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        return f"{{{', '.join(items)}}}" if items else "set()"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(item)}' for key, item in value.items())}}}"
    if isinstance(value, float) and repr(value) in ("nan", "inf", "-inf"):
        return f'float("{value!r}")'
    if isinstance(value, timedelta):
        parts = f"{value.days}, {value.seconds}, {value.microseconds}"
        return f'__import__("datetime").timedelta({parts})'
    if isinstance(value, (datetime, date)):
        return f'__import__("datetime").{type(value).__name__}.fromisoformat({value.isoformat()!r})'
    if isinstance(value, Decimal):
        return f'__import__("decimal").Decimal({str(value)!r})'
    if isinstance(value, UUID):
        return f'__import__("uuid").UUID({str(value)!r})'
    if isinstance(value, PurePath):
        return f'__import__("pathlib").Path({str(value)!r})'
    return repr(value)
