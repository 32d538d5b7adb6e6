"""Packs: objects in which small values lie one after the other."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable

PACKED_BYTES_MAX = 256 * 1024
"""Values up to this size share a pack."""
PACK_BYTES_MAX = 8 * 1024 * 1024
_CACHE_BYTES_MAX = 64 * 1024 * 1024
_PACK_PART = re.compile(r"^([^#]*)#(\d{1,9})$")


def part_of(uri: str) -> tuple[str, int] | None:
    """The pack of a value and the offset of its first byte. None for a value with an object of its own."""
    found = _PACK_PART.match(uri)
    return None if found is None else (found.group(1), int(found.group(2)))


class PackReads:
    """Packs in memory, so that neighbours need no further read. The least recently used are dropped first."""

    def __init__(self, read: Callable[[str, int], bytes]) -> None:
        """@param read Reads an object of at most so many bytes."""
        self._read = read
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, uri: str, least_bytes: int) -> bytes:
        """A pack's bytes. A growing pack is read again for later values. @raises StoreFault"""
        with self._lock:
            known = self._kept.pop(uri, None)
            if known is not None:
                self._bytes -= len(known)
            if known is None or len(known) < least_bytes:
                known = self._read(uri, PACK_BYTES_MAX)
            self._kept[uri] = known
            self._bytes += len(known)
            while self._bytes > _CACHE_BYTES_MAX and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
            return known
