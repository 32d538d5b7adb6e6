"""What a Parquet file becomes in memory, from its footer and page headers alone.

A small file can describe a very large table: one value of a dictionary repeated a billion times, or texts that each
repeat the prefix of the one before. So nothing is decoded before the sizes of all pages are known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

DECODED_BYTES_MAX = 4 * 1024**3
"""The size in memory up to which a table is always accepted."""
_DECODED_RATIO_MAX = 64
"""A larger table may have this many times the size of its file."""
_FOOTER_BYTES_MAX = 64 * 1024**2
_CHUNKS_MAX = 1_000_000
_PAGES_MAX = 10_000_000
_PAGE_HEADER_BYTES_MAX = 1024**2
_DEPTH_MAX = 64
_MAGIC = b"PAR1"

_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 16}
"""Bytes of a value in memory by physical type. A text counts 16 besides its own bytes."""
_BYTE_ARRAY, _FIXED_BYTES = 6, 7
_DATA, _INDEX, _DICTIONARY, _DATA_2 = 0, 1, 2, 3
_PLAIN, _DICTIONARIES, _PREFIXES = 0, (2, 8), 7
_COMPRESSIONS = (0, 1)
"""None and Snappy, which cannot shrink bytes to less than a twentieth."""


class ParquetFault(ValueError):
    """Why a file is not read."""


class Facts(NamedTuple):
    """What the footer says."""

    created_by: str
    metadata: Mapping[str, str]
    rows: int
    decoded_bytes: int
    """An upper bound, without lists of a fixed size."""


class _Compact:
    """Reads structs of Thrift's compact protocol as dicts by field number."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ParquetFault("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _binary(self) -> bytes:
        length = self._varint()
        if length > len(self._data) - self.at:
            raise ParquetFault("a text is longer than the file")
        self.at += length
        return bytes(self._data[self.at - length : self.at])

    def _double(self) -> float:
        self.at += 8
        value: float = struct.unpack("<d", self._data[self.at - 8 : self.at])[0]
        return value

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEPTH_MAX:
            raise ParquetFault("it is nested too deep")
        fields: dict[int, Any] = {}
        field = 0
        while True:
            head = self._byte()
            if head == 0:
                return fields
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0x0F
            fields[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 8:
            return self._binary()
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (9, 10):
            return self._list(depth)
        if kind == 7:
            return self._double()
        if kind in (1, 2, 3):
            return self._byte()
        raise ParquetFault("it has an unknown kind of field")

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEPTH_MAX:
            raise ParquetFault("it is nested too deep")
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()
        # Every item has at least one byte.
        if count > len(self._data) - self.at:
            raise ParquetFault("a list is longer than the file")
        return [self._value(head & 0x0F, depth + 1) for _ in range(count)]


def _footer(data: memoryview) -> dict[int, Any]:
    if len(data) < 12 or bytes(data[:4]) != _MAGIC or bytes(data[-4:]) != _MAGIC:
        raise ParquetFault("it is not a Parquet file")
    length = int.from_bytes(data[-8:-4], "little")
    if length > min(_FOOTER_BYTES_MAX, len(data) - 12):
        raise ParquetFault("its footer is too long")
    return _Compact(data[len(data) - 8 - length : len(data) - 8]).struct()


class _Leaf(NamedTuple):
    """A column of values, below `depth` lists and structs."""

    name: str
    kind: int
    width: int
    depth: int


def _leaves(schema: list[Any]) -> list[_Leaf]:
    found: list[_Leaf] = []
    position = 1

    def below(count: int, root: str, depth: int) -> None:
        nonlocal position
        if depth > _DEPTH_MAX:
            raise ParquetFault("its schema is nested too deep")
        for _ in range(count):
            element = schema[position]
            position += 1
            name = root or element[4].decode("utf-8", "replace")
            if element.get(5):
                below(element[5], name, depth + 1)
            else:
                kind = element[1]
                width = element.get(2, 0) if kind == _FIXED_BYTES else _WIDTHS[kind]
                if width < 0:
                    raise ParquetFault("a width is negative")
                found.append(_Leaf(name, kind, width, depth))

    below(schema[0].get(5, 0), "", 0)
    return found


class _Walk:
    """Adds up the pages of all columns."""

    def __init__(self, data: memoryview, expands: Callable[[str], bool]) -> None:
        self._data = data
        self._expands = expands
        self._pages = 0
        self.decoded = 0

    def chunk(self, leaf: _Leaf, meta: Mapping[int, Any]) -> None:
        if meta[4] not in _COMPRESSIONS:
            raise ParquetFault("it is compressed in another way than this package does")
        if meta[5] == 0 and meta[9] == 0:
            return
        starts = [meta[9], *([meta[11]] if meta.get(11) else [])]
        at, end = min(starts), min(starts) + meta[7]
        if at < 4 or end > len(self._data):
            raise ParquetFault("a column lies outside of the file")
        dictionary = values = 0
        while at < end:
            reader = _Compact(self._data[at : min(end, at + _PAGE_HEADER_BYTES_MAX)])
            page = reader.struct()
            if page[2] < 0 or page[3] < 0:
                raise ParquetFault("a page has a negative size")
            at += reader.at + page[3]
            if page[1] == _DICTIONARY:
                dictionary = max(dictionary, page[2])
            values += self._page(leaf, page, dictionary)
            self._pages += 1
            if self._pages > _PAGES_MAX:
                raise ParquetFault("it has too many pages")
        if at != end or values != meta[5]:
            raise ParquetFault("its pages are not what its footer says")

    def _page(self, leaf: _Leaf, page: Mapping[int, Any], dictionary: int) -> int:
        self.decoded += page[2]
        head = page.get(8) if page[1] == _DATA_2 else page.get(5)
        if page[1] in (_DICTIONARY, _INDEX):
            if page[1] == _DICTIONARY:
                self.decoded += page[7][1] * leaf.width
            return 0
        if page[1] not in (_DATA, _DATA_2) or head is None or head[1] < 0:
            raise ParquetFault("it has an unknown kind of page")
        encoding = head[4] if page[1] == _DATA_2 else head[2]
        if encoding == _PREFIXES:
            raise ParquetFault("its texts are written as prefixes of each other")
        values: int = head[1]
        self.decoded += values * (leaf.width + 8 * (leaf.depth + 1))
        if encoding in _DICTIONARIES and leaf.kind == _BYTE_ARRAY and self._expands(leaf.name):
            self.decoded += values * dictionary
        return values


def limit_of(data: bytes) -> int:
    """How large the table of a file may be in memory."""
    return max(DECODED_BYTES_MAX, _DECODED_RATIO_MAX * len(data))


def check_size(decoded_bytes: int, data: bytes) -> None:
    """@raises ParquetFault if a table would be too large in memory."""
    if decoded_bytes > limit_of(data):
        raise ParquetFault(
            f"it has {len(data)} bytes and would need up to {decoded_bytes / 1e9:.1f} GB of memory, "
            f"more than {_DECODED_RATIO_MAX} times its size"
        )


def facts_of(data: bytes, expands: Callable[[str], bool] = lambda _: True) -> Facts:
    """The facts of a file, whose pages are all accounted for.

    Args:
        expands: whether texts of a dictionary are copied for each row of a column.

    Raises:
        ParquetFault: if the file is damaged, or becomes too large in memory.
    """
    view = memoryview(data)
    try:
        footer = _footer(view)
        leaves = _leaves(footer[2])
        groups = footer[4]
        if len(groups) * len(leaves) > _CHUNKS_MAX:
            raise ParquetFault("it has too many groups of rows")
        walk = _Walk(view, expands)
        for group in groups:
            if len(group[1]) != len(leaves):
                raise ParquetFault("a group of rows has other columns than the schema")
            for leaf, chunk in zip(leaves, group[1], strict=True):
                if chunk.get(1):
                    raise ParquetFault("a column lies in another file")
                walk.chunk(leaf, chunk[3])
            check_size(walk.decoded, data)
        pairs = {one[1].decode(): one.get(2, b"").decode() for one in footer.get(5, ())}
        return Facts(footer.get(6, b"").decode("utf-8", "replace"), pairs, footer[3], walk.decoded)
    except ParquetFault:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as cause:
        raise ParquetFault("its structure is damaged") from cause
