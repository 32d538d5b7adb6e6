"""The hash of a call's arguments. Equal to the TypeScript engine's for all JSON data."""

from __future__ import annotations

import array
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from ..problem import NotData
from ..store import libraries
from ..store.hashes import Hashes
from ..store.numbers import SAFE_INTEGER_MAX, integer_text, number_text
from ..store.refs import is_ref
from ..store.typed_json import UNDEFINED, array_name, is_js_date, path_text, plain_type
from ..store.unfit import Unfit
from ..text import is_well_formed, utf16_length

_DEPTH_MAX = 64
_HASH_CHARS = 16
"""64 bits. If two inputs of one run collide, their order distinguishes them."""

_PIECES_MAX = 1000
"""Tokens in memory before they are hashed."""


def sorted_keys(keys: Iterable[str]) -> list[str]:
    """Keys in the order of their UTF-16 units."""
    found = list(keys)
    if all(key.isascii() for key in found):
        return sorted(found)
    return sorted(found, key=lambda key: key.encode("utf-16-be", "surrogatepass"))


class _Digest:
    """Writes tagged tokens with their length, so that different inputs write different bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pieces: list[str] = []

    def token(self, tag: str, text: str) -> None:
        if len(self._pieces) >= _PIECES_MAX:
            self._flush()
        if text.isascii():
            self._pieces.append(f"{tag}{len(text)}:{text}")
        elif is_well_formed(text):
            self._pieces.append(f"{tag}{utf16_length(text)}:{text}")
        else:
            self.data(f"{tag}16", text.encode("utf-16-le", "surrogatepass"))

    def data(self, tag: str, data: bytes | memoryview) -> None:
        self.token(tag, str(len(data)))
        self._flush()
        self._hash.update(data)

    def end(self) -> bytes:
        self._flush()
        return self._hash.digest()

    def _flush(self) -> None:
        self._hash.update("".join(self._pieces).encode("utf-8"))
        self._pieces.clear()


class _Hashing:
    def __init__(self, what: str, hashes: Hashes, next: str) -> None:
        self.digest = _Digest()
        self._hashes = hashes
        self._what = what
        self._next = next
        self._above: set[int] = set()
        self.argument = ""

    def refuse(self, found: str, steps: tuple[str | int, ...], first: str | None = None) -> NotData:
        """@param first: what the author may also do, before the next step of every call."""
        field = path_text("", steps).lstrip(".")
        place = self.argument if field == "" else f'{self.argument}, field "{field}"'
        return NotData(
            self._what, found=found, place=place, next=self._next if first is None else f"{first} {self._next}"
        )

    def feed(self, value: Any, steps: tuple[str | int, ...] = ()) -> None:
        token = self.digest.token
        kind = type(value)
        if kind is str:
            token("s", value)
        elif value is None:
            token("0", "")
        elif kind is bool:
            token("b", "true" if value else "false")
        elif kind is int:
            token("n", str(value)) if abs(value) <= SAFE_INTEGER_MAX else token("i", integer_text(value))
        elif kind is float:
            token("n", _float_text(value))
        elif value is UNDEFINED:
            token("u", "")
        else:
            self._other(value, steps)

    def _other(self, value: Any, steps: tuple[str | int, ...]) -> None:
        scalar = _SCALARS.get(type(value))
        if scalar is not None:
            scalar(self.digest, value)
            return
        if isinstance(value, PurePath):
            self.digest.token("path", value.as_posix())
            return
        if isinstance(value, Enum):
            self.digest.token("enum", f"{type(value).__qualname__}.{value.name}")
            return
        if id(value) in self._above:
            raise self.refuse("part of a cycle", steps)
        if len(self._above) >= _DEPTH_MAX:
            raise self.refuse(f"nested more than {_DEPTH_MAX} deep", steps)
        self._above.add(id(value))
        self._container(value, steps)
        self._above.discard(id(value))

    def _container(self, value: Any, steps: tuple[str | int, ...]) -> None:
        kind = type(value)
        if kind is dict:
            self._dict(value, steps)
        elif kind is list:
            self._items("a", value, steps)
        elif kind is tuple:
            self._items("tuple", value, steps)
        elif kind is set or kind is frozenset:
            self._set(value, steps)
        elif kind is array.array:
            name = array_name(value)
            if name is None:
                raise self.refuse(f"an array of type {value.typecode}", steps)
            self.digest.data(name, value.tobytes())
        else:
            self._fields(value, steps)

    def _items(self, tag: str, items: Sequence[Any], steps: tuple[str | int, ...]) -> None:
        self.digest.token(tag, str(len(items)))
        for index, item in enumerate(items):
            self.feed(item, (*steps, index))

    def _set(self, value: Any, steps: tuple[str | int, ...]) -> None:
        """A set has no order, so its items count by their own hashes."""
        parts = sorted(self._alone(item, steps) for item in value)
        self.digest.token("pyset", str(len(parts)))
        for part in parts:
            self.digest.token("s", part)

    def _pairs(self, value: dict[Any, Any], steps: tuple[str | int, ...]) -> None:
        """A dict with keys that are not text. Equal dicts may have another order, so its pairs count by their hashes."""
        self.digest.token("pydict", str(len(value)))
        for key, item in sorted(
            (self._alone(key, steps, "key"), self._alone(item, steps, "value")) for key, item in value.items()
        ):
            self.digest.token("s", key)
            self.digest.token("s", item)

    def _alone(self, item: Any, steps: tuple[str | int, ...], step: str = "item") -> str:
        whole, self.digest = self.digest, _Digest()
        try:
            self.feed(item, (*steps, step))
            return self.digest.end().hex()[:_HASH_CHARS]
        finally:
            self.digest = whole

    def _dict(self, value: dict[Any, Any], steps: tuple[str | int, ...]) -> None:
        if not all(type(key) is str for key in value):
            self._pairs(value, steps)
            return
        if is_ref(value):
            # It counts by the content that it stands for.
            self.digest.token("r", f"{value['codec']} {self._hashes.counted(value['sha256'])}")
            return
        self._entries("o", value, steps)

    def _entries(self, tag: str, value: Mapping[str, Any], steps: tuple[str | int, ...]) -> None:
        present = [key for key in value if value[key] is not UNDEFINED]
        self.digest.token(tag, str(len(present)))
        for key in sorted_keys(present):
            self.digest.token("k", key)
            self.feed(value[key], (*steps, key))

    def _fields(self, value: Any, steps: tuple[str | int, ...]) -> None:
        """A dataclass or a model of pydantic counts by its class's name and its fields."""
        try:
            if libraries.feed(value, self.digest.token, self.digest.data):
                return
        except Unfit as unfit:
            raise self.refuse(unfit.found, steps, unfit.next) from unfit
        fields = fields_of(value)
        if fields is None:
            raise self.refuse(plain_type(value), steps)
        self._entries(f"class {type(value).__qualname__} ", fields, steps)


def fields_of(value: object) -> Mapping[str, Any] | None:
    """The fields of a dataclass or a pydantic model, which its visible parts define completely. None for other values."""
    kind = type(value)
    names = getattr(kind, "__dataclass_fields__", None)
    if names is not None:
        return {name: getattr(value, name) for name, field in names.items() if field._field_type.name == "_FIELD"}
    if getattr(kind, "__pydantic_fields__", None) is not None:
        return {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
    if isinstance(value, tuple):
        return dict(zip(getattr(kind, "_fields", ()), value, strict=False)) or None
    names = getattr(kind, "__struct_fields__", None)
    return None if names is None else {name: getattr(value, name) for name in names}


def _float_text(value: float) -> str:
    """1.0 is not 1: a function may treat them differently."""
    if value.is_integer() and value != 0 and abs(value) <= SAFE_INTEGER_MAX:
        return f"{number_text(value)}.0"
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0.0"
    return number_text(value)


_SCALARS: dict[type, Callable[[_Digest, Any], None]] = {
    bytes: lambda d, v: d.data("Uint8Array", v),
    bytearray: lambda d, v: d.data("bytearray", bytes(v)),
    memoryview: lambda d, v: d.data("Uint8Array", v.tobytes()),
    datetime: lambda d, v: (
        d.token("d", str(round(v.timestamp() * 1000))) if is_js_date(v) else d.token("datetime", v.isoformat())
    ),
    date: lambda d, v: d.token("day", v.isoformat()),
    time: lambda d, v: d.token("time", v.isoformat()),
    timedelta: lambda d, v: d.token("timedelta", f"{v.days},{v.seconds},{v.microseconds}"),
    Decimal: lambda d, v: d.token("decimal", str(v)),
    UUID: lambda d, v: d.token("uuid", str(v)),
    complex: lambda d, v: d.token("complex", f"{v.real!r},{v.imag!r}"),
    range: lambda d, v: d.token("range", f"{v.start},{v.stop},{v.step}"),
}

_NEXT = "Pass plain data."


def hash_input(
    what: str, arguments: Sequence[object], hashes: Hashes, next: str = _NEXT, names: Sequence[str] = ()
) -> str:
    """Hashes a call's arguments.

    Equal values have equal hashes, whatever the order of keys in their dicts.

    Args:
        what: the call, such as `Task "load"`.
        arguments: the values in the order of the parameters.
        hashes: the run's hashes.
        next: the next step for a value that is not data.
        names: the names of the parameters, for errors. Missing: the number of the argument.

    Returns: 16 hexadecimal digits.

    Raises:
        NotData: names the part that is not data (a function, a client, a lock, a cycle).
    """
    hashing = _Hashing(what, hashes, next)
    hashing.digest.token("a", str(len(arguments)))
    for index, item in enumerate(arguments):
        hashing.argument = f'argument "{names[index]}"' if index < len(names) else f"argument {index + 1}"
        hashing.feed(item)
    return hashes.input(hashing.digest.end())[:_HASH_CHARS]
