"""JSON for values that plain JSON cannot hold.

Such a value is `{"~": [kind, ...parts]}`. A dict with a key `~` is `{"~": ["object", [[key, value], ...]]}`, so that the
two cannot be confused. Bytes follow the text after a zero byte, which JSON never contains: `["bytes", kind, offset,
length]` is their position. Reading runs no code of the data.
"""

from __future__ import annotations

import array
import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, WindowsPath
from typing import Any
from uuid import UUID

from ..problem import NotSerialisable
from . import libraries
from .numbers import SAFE_INTEGER_MAX, is_decimal, number_text
from .strict_json import parse_json
from .unfit import Unfit

_MARK = "~"
DEPTH_MAX = 200


class Undefined:
    """JavaScript's `undefined`, which Python does not have."""


UNDEFINED = Undefined()


class Shaped:
    """Plain data that stands for instances of classes. Only the return annotation of a task says which."""

    def __init__(self, data: Any) -> None:
        self.data = data


_ARRAYS = {
    "Uint16Array": "H",
    "Uint32Array": "I",
    "Int8Array": "b",
    "Int16Array": "h",
    "Int32Array": "i",
    "Float32Array": "f",
    "Float64Array": "d",
    "BigInt64Array": "q",
    "BigUint64Array": "Q",
}
_ARRAY_NAMES = {code: name for name, code in _ARRAYS.items()}
_PATHS = (PurePosixPath, PosixPath, WindowsPath)
"""A path of another kind is not equal to the `Path` that comes back."""
_BYTES = ("Uint8Array", "Buffer", "Uint8ClampedArray")


def array_name(value: array.array[Any]) -> str | None:
    """The kind of an array of numbers, or None for one that JavaScript does not have."""
    return _ARRAY_NAMES.get(
        {"l": "q" if value.itemsize == 8 else "i", "L": "Q" if value.itemsize == 8 else "I"}.get(
            value.typecode, value.typecode
        )
    )


def is_js_date(value: datetime) -> bool:
    """Whether a time is one that JavaScript's Date holds: in UTC, with whole milliseconds."""
    return value.tzinfo is timezone.utc and value.microsecond % 1000 == 0


def path_text(name: str, steps: tuple[str | int, ...]) -> str:
    """A part of a value: `rows[3].price`."""
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def plain_type(value: object) -> str:
    """The kind of a value for a message: `an instance of Client`."""
    kind = type(value)
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}" if not isinstance(value, type) else f"the class {value.__name__}"
    return f"an instance of {kind.__qualname__}"


class _Writer:
    def __init__(self, name: str) -> None:
        self._name = name
        self.pieces: list[bytes] = []
        self._length = 0
        self._above: set[int] = set()

    def part(self, value: Any, steps: tuple[str | int, ...] = ()) -> object:
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if kind is str:
            return value
        if kind is int:
            if abs(value) <= SAFE_INTEGER_MAX:
                return value
            if not is_decimal(value):
                raise NotSerialisable(path_text(self._name, steps), "a whole number of more than 3,000 digits")
            return self._mark("bigint", str(value))
        if kind is float:
            if math.isfinite(value) and not (value == 0 and math.copysign(1.0, value) < 0):
                return value
            return self._mark("number", number_text(value))
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            return scalar(self, value)
        if kind in _PATHS:
            return self._mark("path", value.as_posix())
        if kind is time:
            return self._time(value, steps)
        return self._container(value, steps)

    def _container(self, value: Any, steps: tuple[str | int, ...]) -> object:
        write = _CONTAINERS.get(type(value))
        if write is None:
            return self._of_library(value, steps)
        if id(value) in self._above:
            raise NotSerialisable(path_text(self._name, steps), "part of a cycle")
        if len(self._above) > DEPTH_MAX:
            raise NotSerialisable(path_text(self._name, steps), f"nested more than {DEPTH_MAX} deep")
        self._above.add(id(value))
        try:
            return write(self, value, steps)
        finally:
            self._above.discard(id(value))

    def _of_library(self, value: Any, steps: tuple[str | int, ...]) -> object:
        try:
            found = libraries.written(value)
        except Unfit as unfit:
            raise NotSerialisable(path_text(self._name, steps), unfit.found, next=unfit.next) from unfit
        if found is None:
            raise NotSerialisable(path_text(self._name, steps), plain_type(value))
        return self._mark(found.codec, found.kind, *self.add(found.data))

    def _mark(self, kind: str, *parts: object) -> dict[str, object]:
        return {_MARK: [kind, *parts]}

    def no_array(self, value: array.array[Any], steps: tuple[str | int, ...]) -> str:
        raise NotSerialisable(path_text(self._name, steps), f"an array of type {value.typecode}")

    def add(self, piece: bytes) -> tuple[int, int]:
        offset = self._length
        self.pieces.append(piece)
        self._length += len(piece)
        return offset, len(piece)

    def items(self, value: Any, steps: tuple[str | int, ...]) -> list[object]:
        return [self.part(item, (*steps, index)) for index, item in enumerate(value)]

    def dict(self, value: dict[Any, Any], steps: tuple[str | int, ...]) -> object:
        if not all(type(key) is str for key in value):
            pairs = [
                [self.part(key, (*steps, "key")), self.part(item, (*steps, "value"))] for key, item in value.items()
            ]
            return self._mark("map", pairs)
        if _MARK in value or "__proto__" in value:
            return self._mark("object", [[key, self.part(item, (*steps, key))] for key, item in value.items()])
        return {key: self.part(item, (*steps, key)) for key, item in value.items()}

    def datetime(self, value: datetime) -> object:
        if is_js_date(value):
            return self._mark("date", value.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        zone = getattr(value.tzinfo, "key", None)
        return self._mark("datetime", value.isoformat(), *([zone] if isinstance(zone, str) else []))

    def _time(self, value: time, steps: tuple[str | int, ...]) -> object:
        if value.tzinfo is not None and value.utcoffset() is None:
            raise NotSerialisable(
                path_text(self._name, steps), "a time of day in a zone whose offset depends on the date"
            )
        return self._mark("time", value.isoformat())


def _sorted_parts(writer: _Writer, value: Any, steps: tuple[str | int, ...]) -> list[object]:
    parts = [writer.part(item, (*steps, "item")) for item in value]
    return sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))


_SCALARS: dict[type, Callable[[_Writer, Any], object]] = {
    bytes: lambda w, v: w._mark("bytes", "Uint8Array", *w.add(v)),
    bytearray: lambda w, v: w._mark("bytearray", *w.add(bytes(v))),
    datetime: lambda w, v: w.datetime(v),
    date: lambda w, v: w._mark("day", v.isoformat()),
    timedelta: lambda w, v: w._mark("timedelta", v.days, v.seconds, v.microseconds),
    Decimal: lambda w, v: w._mark("decimal", str(v)),
    UUID: lambda w, v: w._mark("uuid", str(v)),
    complex: lambda w, v: w._mark("complex", w.part(v.real), w.part(v.imag)),
}
_CONTAINERS: dict[type, Callable[[_Writer, Any, tuple[str | int, ...]], object]] = {
    list: lambda w, v, s: w.items(v, s),
    dict: lambda w, v, s: w.dict(v, s),
    tuple: lambda w, v, s: w._mark("tuple", w.items(v, s)),
    set: lambda w, v, s: w._mark("set", _sorted_parts(w, v, s)),
    frozenset: lambda w, v, s: w._mark("frozenset", _sorted_parts(w, v, s)),
    Shaped: lambda w, v, s: w._mark("shaped", w.part(v.data, s)),
    array.array: lambda w, v, s: w._mark("bytes", array_name(v) or w.no_array(v, s), *w.add(v.tobytes())),
}


def to_typed_json(value: object, name: str) -> bytes:
    """Writes a value as typed JSON. @raises NotSerialisable naming the part that is not data."""
    writer = _Writer(name)
    text = json.dumps(writer.part(value), separators=(",", ":")).encode("ascii")
    return text if not writer.pieces else b"".join((text, b"\0", *writer.pieces))


def is_exact_json(value: object) -> bool:
    """Whether JSON restores a value exactly, with nothing dropped or changed."""
    return _is_exact(value, set())


def _is_exact(value: Any, above: set[int]) -> bool:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -SAFE_INTEGER_MAX <= int(value) <= SAFE_INTEGER_MAX
    if kind is float:
        return math.isfinite(value) and not (value == 0 and math.copysign(1.0, value) < 0)
    if (kind is not list and kind is not dict) or id(value) in above or len(above) > DEPTH_MAX:
        return False
    above.add(id(value))
    if kind is list:
        exact = all(_is_exact(item, above) for item in value)
    else:
        exact = all(type(key) is str and key != "__proto__" and _is_exact(item, above) for key, item in value.items())
    above.discard(id(value))
    return exact


class _Reader:
    def __init__(self, behind: bytes, undefined: object) -> None:
        self._bytes = behind
        self._undefined = undefined

    def value(self, part: object) -> Any:
        if isinstance(part, list):
            return [self.value(item) for item in part]
        if not isinstance(part, dict):
            return part
        if _MARK not in part:
            return {key: self.value(item) for key, item in part.items()}
        marked = part[_MARK]
        if not isinstance(marked, list) or not marked:
            raise ValueError("no kind")
        return self._marked(marked[0], marked[1:])

    def _marked(self, kind: object, parts: list[Any]) -> Any:
        if kind == "undefined":
            return self._undefined
        read = _READ.get(kind) if isinstance(kind, str) else None
        if read is None:
            raise ValueError(f"unknown kind {kind}")
        return read(self, *parts)

    def slice(self, offset: Any, length: Any) -> bytes:
        ok = type(offset) is int and type(length) is int and offset >= 0 and length >= 0
        if not ok or offset + length > len(self._bytes):
            raise ValueError("the buffer ends before these bytes")
        return self._bytes[offset : offset + length]

    def bytes(self, kind: Any, offset: Any, length: Any) -> Any:
        raw = self.slice(offset, length)
        if kind in _BYTES:
            return raw
        if kind not in _ARRAYS:
            raise ValueError(f"unknown kind of bytes {kind}")
        numbers: array.array[Any] = array.array(_ARRAYS[kind])
        numbers.frombytes(raw)
        return numbers

    def pairs(self, part: Any) -> list[tuple[Any, Any]]:
        return [(self.value(key), self.value(item)) for key, item in part]

    def items(self, part: Any) -> list[Any]:
        return [self.value(item) for item in part]


def _read_datetime(text: Any, zone: Any = None) -> datetime:
    read = datetime.fromisoformat(text)
    if zone is None:
        return read
    from zoneinfo import ZoneInfo

    local = read.replace(tzinfo=ZoneInfo(zone))
    for fold in (0, 1):
        if local.replace(fold=fold).utcoffset() == read.utcoffset():
            return local.replace(fold=fold)
    # The rules of the zone have changed. The instant is what was saved.
    return read.astimezone(ZoneInfo(zone))


def _read_date(text: Any) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=timezone.utc)


def _read_arrow(data: bytes, rows: Any) -> Any:
    """A table of Arrow that a TypeScript flow stored."""
    import importlib

    pyarrow = importlib.import_module("pyarrow")
    with importlib.import_module("pyarrow.ipc").open_stream(pyarrow.BufferReader(data)) as stream:
        table = stream.read_all()
    if table.num_rows != rows:
        raise ValueError("the table has another number of rows")
    return table


def _library_reader(codec: str) -> Callable[..., Any]:
    def read(reader: _Reader, kind: Any, offset: Any, length: Any) -> Any:
        if not isinstance(kind, str):
            raise ValueError(f"no kind of {codec}")
        return libraries.read(codec, kind, reader.slice(offset, length))

    return read


_READ: dict[str, Callable[..., Any]] = {
    "number": lambda r, text: float(text.replace("Infinity", "inf")),
    "bigint": lambda r, text: int(text),
    "date": lambda r, text: _read_date(text),
    "datetime": lambda r, text, zone=None: _read_datetime(text, zone),
    "day": lambda r, text: date.fromisoformat(text),
    "time": lambda r, text: time.fromisoformat(text),
    "timedelta": lambda r, days, seconds, micro: timedelta(days, seconds, micro),
    "decimal": lambda r, text: Decimal(text),
    "uuid": lambda r, text: UUID(text),
    "path": lambda r, text: Path(text),
    "complex": lambda r, re, im: complex(r.value(re), r.value(im)),
    "url": lambda r, text: str(text),
    "buffer": lambda r, offset, length: r.slice(offset, length),
    "bytes": lambda r, kind, offset, length: r.bytes(kind, offset, length),
    "bytearray": lambda r, offset, length: bytearray(r.slice(offset, length)),
    "map": lambda r, pairs: dict(r.pairs(pairs)),
    "object": lambda r, pairs: dict(r.pairs(pairs)),
    "bare": lambda r, pairs: dict(r.pairs(pairs)),
    "tuple": lambda r, items: tuple(r.items(items)),
    "set": lambda r, items: set(r.items(items)),
    "frozenset": lambda r, items: frozenset(r.items(items)),
    "shaped": lambda r, part: Shaped(r.value(part)),
    "arrow": lambda r, offset, length, rows: _read_arrow(r.slice(offset, length), rows),
    **{codec: _library_reader(codec) for codec in libraries.CODECS},
}


def from_typed_json(data: bytes, undefined: object = None) -> Any:
    """Reads typed JSON. @raises ValueError | TypeError if it is invalid or has no equal in Python."""
    end = data.find(b"\0")
    text, behind = (data, b"") if end < 0 else (data[:end], data[end + 1 :])
    return _Reader(behind, undefined).value(parse_json(text))
