"""Syntax trees as text that is equal on every Python, whatever the comments, the formatting and the docstrings."""

from __future__ import annotations

import ast
from typing import Any

# Positions and hints that do not change what code does, or that only some Pythons have.
_LEFT_OUT = {"ctx", "kind", "type_comment", "type_ignores", "lineno", "col_offset", "end_lineno", "end_col_offset"}
_WITH_DOCSTRING = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def canonical(node: ast.AST) -> str:
    """The text of a tree."""
    pieces: list[str] = []
    _write(node, pieces)
    return "".join(pieces)


def _write(value: Any, pieces: list[str]) -> None:
    if isinstance(value, ast.JoinedStr):
        _write_joined(value, pieces)
    elif isinstance(value, ast.AST):
        pieces.append(type(value).__name__)
        pieces.append("(")
        for name, part in ast.iter_fields(value):
            # An empty field may be one that an older Python does not have.
            if name in _LEFT_OUT or part is None or part == []:
                continue
            if name == "body" and isinstance(value, _WITH_DOCSTRING):
                part = _without_docstring(part)
            pieces.append(f"{name}=")
            _write(part, pieces)
            pieces.append(";")
        pieces.append(")")
    elif isinstance(value, list):
        pieces.append("[")
        for part in value:
            _write(part, pieces)
            pieces.append(",")
        pieces.append("]")
    else:
        pieces.append(_constant(value))


def _write_joined(value: ast.JoinedStr, pieces: list[str]) -> None:
    """Pythons differ in how they split the text of an f-string."""
    pieces.append("JoinedStr(")
    text = ""
    for part in value.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        pieces.append(f"{text!r},")
        text = ""
        _write(part, pieces)
    pieces.append(f"{text!r})")


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(repr, value))})"
    return f"{type(value).__name__}:{value!r}"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    if (
        body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        return body[1:]
    return body
