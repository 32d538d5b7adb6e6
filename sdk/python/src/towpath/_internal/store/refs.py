"""Refs: what counts as one, and those inside of a value."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Protocol, TypeGuard

from ..task.known_values import content_of
from .codec import CODEC_ENDINGS, Ref

_FIELDS = {"uri", "codec", "sizeBytes", "sha256"}
_URI = re.compile(r"(?:(?:file|memory):///|s3://[^/]+/).", re.DOTALL)
"""A value in a folder, in a bucket, or in the memory of a flow without a worker."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE_MAX = 2**53 - 1
_CHECKED_MAX = 1_000
"""The most refs of one value that are checked."""
_PLAIN = (str, int, float, bytes, type(None))


class _HasValues(Protocol):
    def has(self, ref: Ref) -> bool: ...


def is_ref(value: object) -> TypeGuard[Ref]:
    """Whether a value is exactly what `save` returns: a dict with four fields, and no other, each with the form that a
    store writes. The worker checks exactly these objects in the parameters of a run. A person can write one by hand."""
    if type(value) is not dict or len(value) != len(_FIELDS):
        return False
    # Texts first: a key of another class could run the author's code.
    if not all(type(key) is str for key in value) or value.keys() != _FIELDS:
        return False
    uri, codec, sha256, size = value["uri"], value["codec"], value["sha256"], value["sizeBytes"]
    if not isinstance(uri, str) or not isinstance(codec, str) or not isinstance(sha256, str):
        return False
    if codec not in CODEC_ENDINGS or not _URI.match(uri) or not _SHA256.fullmatch(sha256):
        return False
    # JSON has one kind of number, so 8.0 is a size too.
    is_whole = type(size) is int or (type(size) is float and size.is_integer())
    return is_whole and 0 <= size <= _SIZE_MAX


def parameter_of(ref: Ref, parameters: object) -> str | None:
    """The first parameter that has this ref, such as `source.rows.0`. None: none has it."""
    left: list[tuple[str, object]] = [("", parameters)]
    while left:
        place, part = left.pop()
        if part == ref and is_ref(part):
            return place
        if isinstance(part, dict):
            named = [(str(name), inner) for name, inner in part.items()]
        elif isinstance(part, list):
            named = [(str(index), inner) for index, inner in enumerate(part)]
        else:
            continue
        left.extend((f"{place}.{name}" if place else name, inner) for name, inner in reversed(named))
    return None


def _refs_in(value: object) -> Iterator[Ref]:
    left = [value]
    seen: set[int] = set()
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if is_ref(part):
            yield part
        else:
            left.extend(one for one in content_of(part, sys.maxsize) if not isinstance(one, _PLAIN))


def gone_ref(store: _HasValues, value: object) -> Ref | None:
    """One of the first 1,000 refs of a loaded value whose own value is no longer in the store. None: all are there.

    Raises:
        StoreFault: if the store does not answer.
    """
    return next((ref for ref in islice(_refs_in(value), _CHECKED_MAX) if not store.has(ref)), None)
