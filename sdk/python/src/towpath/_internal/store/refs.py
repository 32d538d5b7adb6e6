"""Refs: what counts as one, and those inside of a value."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Protocol, TypeGuard

from ..task.known_values import content_of
from .codec import Ref

_FIELDS = {"uri", "codec", "sizeBytes", "sha256"}
_CODEC = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECKED_MAX = 1_000
"""The most refs of one value that are checked."""
_PLAIN = (str, int, float, bytes, type(None))


class _HasValues(Protocol):
    def has(self, ref: Ref) -> bool: ...


def is_ref(value: object) -> TypeGuard[Ref]:
    """Whether a value is exactly what `save` returns: a dict with four fields, and no other. The worker checks exactly
    these objects in the parameters of a run."""
    if type(value) is not dict or len(value) != len(_FIELDS):
        return False
    # Texts first: a key of another class could run the author's code.
    if not all(type(key) is str for key in value) or value.keys() != _FIELDS:
        return False
    codec, sha256 = value["codec"], value["sha256"]
    if not isinstance(codec, str) or not isinstance(sha256, str) or not isinstance(value["uri"], str):
        return False
    if not _CODEC.fullmatch(codec) or not _SHA256.fullmatch(sha256):
        return False
    return type(value["sizeBytes"]) in (int, float)


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
