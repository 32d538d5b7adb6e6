"""Types of Python as JSON Schema (2020-12), and JSON values as values of those types."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from ..problem import Fault, InvalidDefinition

_DEPTH_MAX = 32


def schema_of(kind: Any, depth: int = 0) -> dict[str, Any]:
    """The JSON Schema of a type.

    Raises:
        InvalidDefinition: for a type that has none.
    """
    if depth > _DEPTH_MAX:
        raise InvalidDefinition(f"The type {_name_of(kind)} is nested too deep for a form.")
    if kind is Any or kind is dataclasses.MISSING:
        return {}
    if kind is None or kind is type(None):
        return {"type": "null"}
    simple = _SIMPLE_SCHEMAS.get(kind) if isinstance(kind, type) else None
    if simple is not None:
        return dict(simple)
    origin = get_origin(kind)
    if origin is not None:
        return _generic_schema(kind, origin, get_args(kind), depth)
    if isinstance(kind, type):
        return _class_schema(kind, depth)
    raise InvalidDefinition(f"The type {_name_of(kind)} has no JSON Schema.")


def _generic_schema(kind: Any, origin: Any, args: tuple[Any, ...], depth: int) -> dict[str, Any]:
    if origin is typing.Annotated:
        return {**schema_of(args[0], depth), **_described(args[1:])}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is Union or origin is types.UnionType:
        parts = [schema_of(arg, depth + 1) for arg in args]
        return parts[0] if len(parts) == 1 else {"anyOf": parts}
    if origin in (list, set, frozenset) or getattr(origin, "__name__", "") in ("Sequence", "Iterable", "Collection"):
        items = {"type": "array", "items": schema_of(args[0], depth + 1)}
        return {**items, "uniqueItems": True} if origin in (set, frozenset) else items
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"type": "array", "items": schema_of(args[0], depth + 1)}
        parts = [schema_of(arg, depth + 1) for arg in args]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}
    if origin is dict or getattr(origin, "__name__", "") == "Mapping":
        return {"type": "object", "additionalProperties": schema_of(args[1], depth + 1)}
    raise InvalidDefinition(f"The type {_name_of(kind)} has no JSON Schema.")


def _class_schema(kind: type, depth: int) -> dict[str, Any]:
    if issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    made = getattr(kind, "model_json_schema", None)
    if callable(made):
        schema: Any = made()
        return schema  # type: ignore[no-any-return]
    fields = _fields_of(kind)
    if fields is None:
        raise InvalidDefinition(
            f"The type {_name_of(kind)} has no JSON Schema. Use plain types, a dataclass or a TypedDict."
        )
    properties = {}
    for name, (type_, default) in fields.items():
        properties[name] = schema_of(type_, depth + 1)
        if default is not dataclasses.MISSING and default is not _LATER:
            properties[name]["default"] = json_of(default)
    required = [name for name, (_, default) in fields.items() if default is dataclasses.MISSING]
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


_LATER = object()
"""A default that is made anew for each value."""


def _fields_of(kind: type) -> dict[str, tuple[Any, Any]] | None:
    """The fields of a dataclass or TypedDict: their types and defaults."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {
            field.name: (
                hints[field.name],
                _LATER if field.default_factory is not dataclasses.MISSING else field.default,
            )
            for field in dataclasses.fields(kind)
            if field.init
        }
    if hasattr(kind, "__required_keys__") and issubclass(kind, dict):
        hints = typing.get_type_hints(kind)
        return {
            name: (type_, dataclasses.MISSING if name in getattr(kind, "__required_keys__", frozenset()) else _LATER)
            for name, type_ in hints.items()
        }
    return None


def _described(notes: tuple[Any, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for note in notes:
        if isinstance(note, str):
            told["description"] = note
        elif isinstance(note, dict):
            told.update(note)
    return told


def json_of(value: Any) -> Any:
    """A default as JSON."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (Path, UUID, Decimal)):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_of(item) for item in value]
    if isinstance(value, dict):
        return {key: json_of(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_of(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def convert(kind: Any, value: Any, path: str, faults: list[Fault]) -> Any:
    """A JSON value as a value of a type. Adds to `faults` what does not match, with its path."""
    if kind is Any:
        return value
    if kind is None or kind is type(None):
        return value if value is None else _fault(faults, path, "must be null", value)
    read = _SIMPLE_READERS.get(kind) if isinstance(kind, type) else None
    if read is not None:
        return read(value, path, faults)
    origin = get_origin(kind)
    if origin is not None:
        return _generic(kind, origin, get_args(kind), value, path, faults)
    if isinstance(kind, type):
        return _of_class(kind, value, path, faults)
    return value


def _generic(kind: Any, origin: Any, args: tuple[Any, ...], value: Any, path: str, faults: list[Fault]) -> Any:
    if origin is typing.Annotated:
        return convert(args[0], value, path, faults)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in args):
            return value
        return _fault(faults, path, f"must be one of {', '.join(map(repr, args))}", value)
    if origin is Union or origin is types.UnionType:
        return _one_of(args, value, path, faults)
    if origin is dict or getattr(origin, "__name__", "") == "Mapping":
        if not isinstance(value, dict):
            return _fault(faults, path, "must be an object", value)
        return {key: convert(args[1], item, f"{path}.{key}", faults) for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return _fault(faults, path, "must be a list", value)
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        if len(value) != len(args):
            return _fault(faults, path, f"must have {len(args)} items", value)
        return tuple(
            convert(arg, item, f"{path}[{i}]", faults) for i, (arg, item) in enumerate(zip(args, value, strict=True))
        )
    items = [convert(args[0], item, f"{path}[{index}]", faults) for index, item in enumerate(value)]
    return origin(items) if origin in (set, frozenset, tuple) and not faults else items


def _one_of(kinds: tuple[Any, ...], value: Any, path: str, faults: list[Fault]) -> Any:
    first: list[Fault] = []
    for kind in kinds:
        tried: list[Fault] = []
        read = convert(kind, value, path, tried)
        if not tried:
            return read
        if not first and kind is not type(None):
            first = tried
    faults.extend(first)
    return value


def _of_class(kind: type, value: Any, path: str, faults: list[Fault]) -> Any:
    if isinstance(value, kind):
        return value
    if issubclass(kind, Enum):
        for member in kind:
            if member.value == value:
                return member
        return _fault(faults, path, f"must be one of {', '.join(repr(member.value) for member in kind)}", value)
    validate = getattr(kind, "model_validate", None)
    if callable(validate):
        return _of_model(validate, value, path, faults)
    fields = _fields_of(kind)
    if fields is None:
        return value
    if not isinstance(value, dict):
        return _fault(faults, path, "must be an object", value)
    return _of_fields(kind, fields, value, path, faults)


def _of_fields(
    kind: type, fields: dict[str, tuple[Any, Any]], value: dict[str, Any], path: str, faults: list[Fault]
) -> Any:
    before = len(faults)
    for name in value:
        if name not in fields:
            faults.append(Fault(f"{path}.{name}", "is not a field", _nearest(name, fields)))
    made = {}
    for name, (type_, default) in fields.items():
        if name in value:
            made[name] = convert(type_, value[name], f"{path}.{name}", faults)
        elif default is dataclasses.MISSING:
            faults.append(Fault(f"{path}.{name}", "is missing"))
    return value if len(faults) > before else kind(**made)


def is_open(kind: Any) -> bool:
    """Whether a type does not tell the names of its fields."""
    if get_origin(kind) is typing.Annotated:
        return is_open(get_args(kind)[0])
    return not isinstance(kind, type) or (not hasattr(kind, "model_validate") and _fields_of(kind) is None)


def _of_model(validate: Callable[[Any], Any], value: Any, path: str, faults: list[Fault]) -> Any:
    try:
        return validate(value)
    except ValueError as error:
        told = getattr(error, "errors", None)
        entries: Any = told() if callable(told) else [{"loc": (), "msg": str(error)}]
        for one in entries:
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in one["loc"])
            faults.append(Fault(f"{path}{where}", str(one["msg"])))
        return value


def _nearest(name: str, known: Any) -> str | None:
    import difflib

    near = difflib.get_close_matches(name, [str(one) for one in known], 1)
    return f'did you mean "{near[0]}"?' if near else None


def _fault(faults: list[Fault], path: str, message: str, value: Any) -> Any:
    shown = repr(value)
    faults.append(Fault(path, f"{message}, but is {shown if len(shown) <= 60 else shown[:60] + '…'}"))
    return value


def _name_of(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def _exactly(
    kinds: tuple[type, ...], wanted: str, make: Callable[[Any], Any] = lambda value: value
) -> Callable[[Any, str, list[Fault]], Any]:
    def read(value: Any, path: str, faults: list[Fault]) -> Any:
        if type(value) not in kinds:
            return _fault(faults, path, f"must be {wanted}", value)
        try:
            return make(value)
        except (ValueError, ArithmeticError):
            return _fault(faults, path, f"must be {wanted}", value)

    return read


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value.replace("Z", "+00:00"))


_SIMPLE_SCHEMAS: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array"},
    dict: {"type": "object"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    timedelta: {"type": "number", "description": "seconds"},
    Path: {"type": "string"},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"type": "string"},
}
_SIMPLE_READERS: dict[Any, Callable[[Any, str, list[Fault]], Any]] = {
    bool: _exactly((bool,), "true or false"),
    int: _exactly((int, float), "a whole number", _whole),
    float: _exactly((int, float), "a number", float),
    str: _exactly((str,), "text"),
    list: _exactly((list,), "a list"),
    dict: _exactly((dict,), "an object"),
    datetime: _exactly((str, datetime), "a time such as 2026-03-01T12:00:00Z", _time),
    date: _exactly(
        (str, date), "a date such as 2026-03-01", lambda v: v if isinstance(v, date) else date.fromisoformat(v)
    ),
    timedelta: _exactly(
        (int, float, timedelta),
        "a number of seconds",
        lambda v: v if isinstance(v, timedelta) else timedelta(seconds=v),
    ),
    Path: _exactly((str,), "a path", Path),
    UUID: _exactly((str, UUID), "a UUID", lambda v: v if isinstance(v, UUID) else UUID(v)),
    Decimal: _exactly((str, int, float), "a decimal number", lambda v: Decimal(str(v))),
}
