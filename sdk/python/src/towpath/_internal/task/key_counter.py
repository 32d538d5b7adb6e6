"""Counts equal keys of a map in little memory."""

from __future__ import annotations

import array
import hashlib

_SLOTS_FIRST = 1024
_HASH_BYTES = 8


def _hash_of(key: str) -> int:
    """A hash of 64 bits, equal in every process. 0 stands for a free slot."""
    data = key.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=_HASH_BYTES).digest(), "big") or 1


class KeyCounter:
    """Counts how often each key has occurred. It stores hashes in one array, 16 to 32 bytes per key, because a dict of
    100,000 keys needs several times the memory. Two keys with the same hash count as one, in every attempt alike."""

    def __init__(self) -> None:
        self._slots = array.array("Q", bytes(_HASH_BYTES * _SLOTS_FIRST))
        self._used = 0
        # Keys that occurred more than once. They are few.
        self._repeated: dict[int, int] = {}

    def count(self, key: str) -> int:
        """Which occurrence of the key this is, from 1."""
        found = _hash_of(key)
        if self._add(found):
            return 1
        self._repeated[found] = self._repeated.get(found, 1) + 1
        return self._repeated[found]

    def _add(self, added: int) -> bool:
        """Whether the hash is new."""
        slots = self._slots
        mask = len(slots) - 1
        slot = added & mask
        while (held := slots[slot]) != 0:
            if held == added:
                return False
            slot = (slot + 1) & mask
        slots[slot] = added
        self._used += 1
        # With more than half of the slots in use, searching a free one is slow.
        if self._used * 2 > len(slots):
            self._grow()
        return True

    def _grow(self) -> None:
        before = self._slots
        self._slots = array.array("Q", bytes(_HASH_BYTES * 2 * len(before)))
        self._used = 0
        for held in before:
            if held != 0:
                self._add(held)
