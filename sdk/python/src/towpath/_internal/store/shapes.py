"""Instances of the author's classes: stored as plain data, and made again by the return annotation of the task.

The store names no class, so nothing that lies in it decides which code runs.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from .typed_json import DEPTH_MAX, Shaped
from .unfit import Unfit

_LISTS = ("list", "Sequence", "MutableSequence", "Iterable", "Collection")
_DICTS = ("dict", "Mapping", "MutableMapping")
_SETS: dict[str, type] = {"set": set, "frozenset": frozenset, "AbstractSet": set, "Set": set}


class _Misfit(Exception):
    """Data that does not have the shape of a type."""


def returns_of(fn: Callable[..., Any]) -> Any:
    """The return annotation of a function, or None where it has none that can be read."""
    if not isinstance(getattr(fn, "__annotations__", {}).get("return"), (type(None), str)):
        found = fn.__annotations__["return"]
        if not _has_text(found):
            return found
    try:
        names = dict(inspect.getclosurevars(fn).nonlocals) if inspect.isfunction(fn) else {}
        return typing.get_type_hints(fn, localns=names, include_extras=True).get("return")
    except Exception:
        # A name that exists only for type checkers.
        return None


def _has_text(kind: Any) -> bool:
    return isinstance(kind, (str, typing.ForwardRef)) or any(_has_text(one) for one in get_args(kind))


# Down to data


def _kind_of(value: object) -> str | None:
    """Which kind of class a value is an instance of, or None for plain data."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return None
    if isinstance(value, Enum):
        return "enum"
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return "namedtuple"
    if "__dataclass_fields__" in kind.__dict__ and "__pydantic_fields__" not in kind.__dict__:
        return "dataclass"
    if getattr(kind, "__pydantic_fields__", None) is not None and hasattr(kind, "model_construct"):
        return "model"
    return "struct" if hasattr(kind, "__struct_fields__") else None


class _Lowering:
    def __init__(self) -> None:
        self._above: set[int] = set()

    def data(self, value: Any) -> Any:
        kind = type(value)
        if kind in (str, int, float, bool, bytes, type(None)):
            return value
        shape = _kind_of(value)
        if shape is None and kind not in (list, dict, tuple, set, frozenset):
            return value
        if id(value) in self._above:
            raise Unfit("part of a cycle")
        if len(self._above) > DEPTH_MAX:
            raise Unfit(f"nested more than {DEPTH_MAX} deep")
        self._above.add(id(value))
        made = self._container(value, kind) if shape is None else self._instance(value, shape)
        self._above.discard(id(value))
        return made

    def _container(self, value: Any, kind: type) -> Any:
        try:
            if kind is dict:
                return {self.data(key): self.data(item) for key, item in value.items()}
            return kind(self.data(item) for item in value)
        except TypeError:
            raise Unfit("a set, or keys of a dict, with instances of a class", "Return a list of them.") from None

    def _instance(self, value: Any, shape: str) -> Any:
        if shape == "enum":
            return value.name if value.name is not None else value.value
        if shape == "namedtuple":
            return tuple(self.data(item) for item in value)
        fields = {name: self.data(item) for name, item in fields_of(value, shape).items()}
        return (fields, sorted(value.model_fields_set)) if shape == "model" else fields


def fields_of(value: Any, shape: str) -> Mapping[str, Any]:
    """The fields of an instance. @raises Unfit if it has more state than they show"""
    kind = type(value)
    if shape == "struct":
        return {name: getattr(value, name) for name in kind.__struct_fields__}
    if shape == "model":
        if getattr(value, "__pydantic_extra__", None) or getattr(value, "__pydantic_private__", None):
            raise Unfit(f"an instance of {kind.__qualname__} with extra or private attributes")
        return dict(value.__dict__)
    names = [name for name, field in kind.__dataclass_fields__.items() if field._field_type.name == "_FIELD"]
    more = set(getattr(value, "__dict__", ())) - set(names)
    if more:
        raise Unfit(f"an instance of {kind.__qualname__} with the attribute {min(more)}, which is no field")
    return {name: getattr(value, name) for name in names}


def lowered(value: Any) -> Any:
    """A value with instances replaced by plain data. @raises Unfit for cycles and hidden state"""
    return _Lowering().data(value)


# Up to instances


_HINTS: dict[type, dict[str, Any]] = {}


def _hints_of(kind: type) -> dict[str, Any]:
    found = _HINTS.get(kind)
    if found is None:
        try:
            found = typing.get_type_hints(kind, include_extras=True)
        except Exception:
            found = dict(getattr(kind, "__annotations__", {}))
        _HINTS[kind] = found
    return found


def _raise(kind: Any, data: Any, strict: bool) -> Any:
    """Data as a value of a type. `strict`: what is not exactly of the type is a misfit, as one of several types."""
    kind = _plain(kind)
    origin = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return _one_of(get_args(kind), data)
    if origin is Literal:
        return _literal(get_args(kind), data)
    if origin is not None and not (isinstance(origin, type) and _class_kind(origin)):
        return _generic(origin, get_args(kind), data, strict)
    made = origin or kind
    if not isinstance(made, type) or made is object:
        return data
    shape = _class_kind(made)
    if shape is not None:
        return _instance_of(made, shape, data)
    if strict and type(data) is not made and not (made is type(None) and data is None):
        raise _Misfit
    return data


def _plain(kind: Any) -> Any:
    """A type without what only type checkers need."""
    for _ in range(DEPTH_MAX):
        origin = get_origin(kind)
        if origin is typing.Annotated or getattr(origin, "_name", "") in ("Required", "NotRequired", "Final"):
            kind = get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        else:
            break
    if kind is None:
        return type(None)
    return Any if isinstance(kind, (typing.TypeVar, str, typing.ForwardRef)) else kind


def _class_kind(kind: type) -> str | None:
    if issubclass(kind, Enum):
        return "enum"
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return "namedtuple"
    if issubclass(kind, dict):
        return "typeddict" if hasattr(kind, "__required_keys__") else None
    if getattr(kind, "__pydantic_fields__", None) is not None and hasattr(kind, "model_construct"):
        return "model"
    if hasattr(kind, "__dataclass_fields__"):
        return "dataclass"
    return "struct" if hasattr(kind, "__struct_fields__") else None


def _one_of(kinds: tuple[Any, ...], data: Any) -> Any:
    for kind in kinds:
        try:
            return _raise(kind, data, True)
        except _Misfit:
            pass
    raise _Misfit


def _literal(choices: tuple[Any, ...], data: Any) -> Any:
    for choice in choices:
        if isinstance(choice, Enum) and choice.name == data:
            return choice
        if type(choice) is type(data) and choice == data:
            return data
    raise _Misfit


def _generic(origin: Any, args: tuple[Any, ...], data: Any, strict: bool) -> Any:
    name = getattr(origin, "__name__", "")
    kind = type(data)
    if origin is tuple and kind is tuple:
        each = [args[0]] * len(data) if len(args) == 2 and args[1] is Ellipsis else args
        if len(each) != len(data):
            raise _Misfit
        return tuple(_raise(one, item, strict) for one, item in zip(each, data, strict=True))
    if name in _LISTS and kind in (list, tuple):
        return kind(_raise(args[0], item, strict) for item in data)
    if name in _DICTS and kind is dict:
        return {_raise(args[0], key, strict): _raise(args[1], item, strict) for key, item in data.items()}
    if name in _SETS and kind in (set, frozenset):
        return kind(_raise(args[0], item, strict) for item in data)
    if strict:
        raise _Misfit
    return data


def _instance_of(kind: Any, shape: str, data: Any) -> Any:
    if shape == "enum":
        if isinstance(data, str) and data in kind.__members__:
            return kind.__members__[data]
        if isinstance(data, (str, int)) and type(data) in (str, int):
            return _flags(kind, data)
        raise _Misfit
    if shape == "namedtuple":
        if type(data) is not tuple or len(data) != len(kind._fields):
            raise _Misfit
        hints = _hints_of(kind)
        return tuple.__new__(
            kind, [_raise(hints.get(name, Any), item, False) for name, item in zip(kind._fields, data, strict=True)]
        )
    told = None
    if shape == "model":
        if type(data) is not tuple or len(data) != 2:
            raise _Misfit
        data, told = data
    if type(data) is not dict:
        raise _Misfit
    return _with_fields(kind, shape, data, told)


def _flags(kind: Any, data: Any) -> Any:
    """A combination of flags has no name of its own in older releases of Python."""
    try:
        if isinstance(data, int):
            return kind(data)
        names = data.split("|")
        made = kind[names[0]]
        for name in names[1:]:
            made |= kind[name]
        return made
    except (KeyError, ValueError, TypeError):
        raise _Misfit from None


def _with_fields(kind: Any, shape: str, data: dict[Any, Any], told: Any) -> Any:
    hints = _hints_of(kind)
    if shape == "typeddict":
        if not kind.__required_keys__ <= data.keys() or not data.keys() <= hints.keys():
            raise _Misfit
        return {name: _raise(hints[name], item, False) for name, item in data.items()}
    if shape == "model":
        fields = kind.__pydantic_fields__
        if data.keys() != fields.keys():
            raise _Misfit
        made = {name: _raise(fields[name].annotation, item, False) for name, item in data.items()}
        model = kind.model_construct(_fields_set=set(told))
        # Not by their aliases, and without the author's validators, which have accepted these values before.
        model.__dict__.update(made)
        return model
    if shape == "struct":
        if data.keys() != set(kind.__struct_fields__):
            raise _Misfit
        return kind(**{name: _raise(hints.get(name, Any), item, False) for name, item in data.items()})
    names = [name for name, field in kind.__dataclass_fields__.items() if field._field_type.name == "_FIELD"]
    if data.keys() != set(names):
        raise _Misfit
    made = {name: _raise(hints.get(name, Any), data[name], False) for name in names}
    # Without __init__, which may have effects. All fields are there.
    one = object.__new__(kind)
    for name in names:
        object.__setattr__(one, name, made[name])
    return one


def restored(value: Any, returns: Any) -> Any:
    """A loaded value. What was stored as plain data becomes instances of the annotation's classes.

    Raises:
        ValueError: if the data does not fit the annotation.
    """
    if type(value) is not Shaped:
        return value
    try:
        return _raise(returns, value.data, False)
    except (_Misfit, TypeError, RecursionError) as cause:
        raise ValueError("the data does not fit the return annotation of the task") from cause


# Equality


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal in all their parts, and of the same types."""
    if type(one) is not type(other):
        return False
    kind = type(one)
    shape = _kind_of(one)
    if shape == "enum":
        return one is other or bool(one == other)
    if shape == "model" and one.model_fields_set != other.model_fields_set:
        return False
    if shape in ("model", "struct", "dataclass"):
        before, after = fields_of(one, shape), fields_of(other, shape)
        return before.keys() == after.keys() and all(is_same(before[name], after[name]) for name in before)
    if kind in (list, tuple) or shape == "namedtuple":
        return len(one) == len(other) and all(map(is_same, one, other))
    if kind is dict:
        same_keys = len(one) == len(other) and all(map(is_same, one, other))
        return same_keys and all(is_same(item, other[key]) for key, item in one.items())
    if kind is float:
        return one == other or (math.isnan(one) and math.isnan(other))
    # Values of libraries were compared when they were written.
    return kind.__module__.partition(".")[0] in _COMPARED or bool(one == other)


_COMPARED = ("numpy", "pandas", "polars", "pyarrow", "torch")
