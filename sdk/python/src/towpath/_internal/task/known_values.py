"""What is known about objects, by their identity, without keeping them in memory.

A list, a dict or a tuple cannot be referenced weakly, and its address belongs to another object once it is gone. So what
identifies an object is one of these:

- a weak reference, where its class allows one;
- the object itself, if it is small plain data. It is let go when nothing else refers to it;
- a few of the known objects inside of it, if it is larger.
"""

from __future__ import annotations

import datetime
import decimal
import sys
import types
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Generic, TypeVar

Known = TypeVar("Known")

_KNOWN_MAX = 10_000
_SMALL_BYTES = 16 * 1024
"""The most bytes of an object that is referenced strongly."""
_ALL_BYTES_MAX = 4 * 1024 * 1024
_INSIDE_MAX = 200
"""The most values in an object that is referenced strongly."""
_PARTS = 3
_LEVELS = 4
_CONTENT_MAX = 1_000
_SWEPT = 16
"""The objects that one step looks at, to let go of those that nothing else refers to."""
_LEAVES = frozenset(
    {str, int, float, complex, bool, type(None), bytes, bytearray, range}
    | {datetime.date, datetime.time, datetime.datetime, datetime.timedelta, decimal.Decimal, uuid.UUID}
)
_SHARED_INT = 256
"""Python has one object for each smaller integer."""
_SHARED_REFERENCES = 12
"""A text with more references is a constant of the program, or in many places."""


def content_of(value: object, most: int = _CONTENT_MAX) -> list[Any]:
    """The values in a collection, a dataclass or a model of pydantic. No code of the author runs."""
    kind = type(value)
    found: Iterable[Any]
    if issubclass(kind, dict):
        found = dict.values(value)  # type: ignore[arg-type]
    elif issubclass(kind, (list, tuple)):
        found = (list if issubclass(kind, list) else tuple).__iter__(value)  # type: ignore[arg-type]
    elif issubclass(kind, (set, frozenset)):
        found = (set if issubclass(kind, set) else frozenset).__iter__(value)  # type: ignore[arg-type]
    else:
        found = _fields_of(value, kind)
    try:
        return list(islice(found, most))
    except RuntimeError:
        # Another thread changes it.
        return []


def _fields_of(value: object, kind: type) -> list[Any]:
    spaces = [one.__dict__ for one in kind.__mro__]
    if not any("__dataclass_fields__" in space or "__pydantic_fields__" in space for space in spaces):
        return []
    try:
        return list(object.__getattribute__(value, "__dict__").values())
    except AttributeError:
        slots = [one for space in spaces for one in space.values() if isinstance(one, types.MemberDescriptorType)]
        return [one.__get__(value) for one in slots if hasattr(value, one.__name__)]


def _size_of(value: object) -> int | None:
    """The bytes of small plain data. None for anything else."""
    total = 0
    seen: set[int] = set()
    stack = [value]
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        kind = type(one)
        if kind in _LEAVES:
            total += sys.getsizeof(one)
        elif kind in (list, tuple, set, frozenset, dict):
            total += sys.getsizeof(one)
            if total > _SMALL_BYTES or len(one) > _INSIDE_MAX:  # type: ignore[arg-type]
                return None
            stack.extend(content_of(one))
            if isinstance(one, dict):
                stack.extend(one)
        else:
            return None
        if total > _SMALL_BYTES or len(seen) > _INSIDE_MAX:
            return None
    return total


class _Entry(Generic[Known]):
    """What is known about one object."""

    __slots__ = ("held", "known", "parts", "size", "weak")

    def __init__(self) -> None:
        self.known: Known | None = None
        self.weak: weakref.ref[Any] | None = None
        self.held: Any = None
        self.parts: tuple[tuple[int, _Entry[Known]], ...] = ()
        self.size = 0
        """Bytes of `held`."""

    def references(self) -> int:
        return sys.getrefcount(self.held)


def _references_of_a_held_object() -> int:
    entry: _Entry[Any] = _Entry()
    entry.held = []
    return entry.references()


_ALONE = _references_of_a_held_object()


class KnownValues(Generic[Known]):
    """What is known about the objects of a run. Bounded: what was looked at longest ago is forgotten first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, _Entry[Known]] = OrderedDict()
        self._bytes = 0
        self._forgotten: list[Any] = []

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, value: object) -> Known | None:
        """What is known about an object, or None."""
        entry = self._entries.get(id(value))
        return entry.known if entry is not None and self._is(entry, value) else None

    def set(self, value: object, known: Known) -> None:
        """Remembers something about an object, if it can be identified."""
        entry = self._entry_of(value, _LEVELS) if _is_unique(value) else None
        if entry is not None:
            entry.known = known

    def sweep(self) -> list[Any]:
        """Forgets some of the objects that nothing else refers to. The caller drops what it returns."""
        for _ in range(min(_SWEPT, len(self._entries))):
            at, entry = self._entries.popitem(last=False)
            if self._is_alive(entry):
                self._entries[at] = entry
            else:
                self._drop(entry)
        while self._entries and (len(self._entries) > _KNOWN_MAX or self._bytes > _ALL_BYTES_MAX):
            self._drop(self._entries.popitem(last=False)[1])
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def _drop(self, entry: _Entry[Known]) -> None:
        self._bytes -= entry.size
        self._forgotten.append(entry.held)
        # An object around this one may still have it as a part.
        entry.held, entry.size, entry.parts = None, 0, ()

    def _is(self, entry: _Entry[Known], value: object) -> bool:
        if entry.weak is not None:
            return entry.weak() is value
        if entry.held is not None:
            return entry.held is value
        own = dict(entry.parts)
        return any(id(one) in own and self._is_part(id(one), own[id(one)], one) for one in content_of(value))

    def _is_part(self, at: int, entry: _Entry[Known], value: object) -> bool:
        return self._entries.get(at) is entry and self._is(entry, value)

    def _is_alive(self, entry: _Entry[Known]) -> bool:
        if entry.weak is not None:
            return entry.weak() is not None
        if entry.held is not None:
            return entry.references() > _ALONE and sys.getsizeof(entry.held) <= _SMALL_BYTES
        return any(self._entries.get(at) is part for at, part in entry.parts)

    def _entry_of(self, value: object, levels: int) -> _Entry[Known] | None:
        entry = self._entries.get(id(value))
        if entry is not None:
            if self._is(entry, value):
                return entry
            self._drop(self._entries.pop(id(value)))
        made: _Entry[Known] = _Entry()
        size = _size_of(value)
        if size is not None:
            made.held, made.size = value, size
            self._bytes += size
        else:
            try:
                made.weak = weakref.ref(value)
            except TypeError:
                made.parts = tuple(self._parts_of(value, levels - 1))
                if not made.parts:
                    return None
        self._entries[id(value)] = made
        return made

    def _parts_of(self, value: object, levels: int) -> Iterator[tuple[int, _Entry[Known]]]:
        """A few of the values inside, from both ends."""
        inside = content_of(value)
        chosen = chain(inside[:_PARTS], reversed(inside[_PARTS:]))
        tried = islice(chosen, 4 * _PARTS)
        found = ((id(one), self._entry_of(one, levels)) for one in tried if levels > 0 and _is_unique(one))
        yield from islice(((at, entry) for at, entry in found if entry is not None), 2 * _PARTS)


def _is_unique(value: object) -> bool:
    """Whether no other code can have this very object by chance, as it can have True or 7."""
    if type(value) is int:
        return not -_SHARED_INT <= value <= _SHARED_INT
    if type(value) is str:
        return len(value) > 1 and sys.getrefcount(value) < _SHARED_REFERENCES
    return type(value) not in (bool, type(None)) and not (type(value) in (tuple, frozenset, bytes) and not value)
