"""Sizes that are rounded up, so that few exist. Equal to the TypeScript engine's."""

from __future__ import annotations

_SIZE_MIN = 1024
"""The smallest stored size of a padded value: below, sizes tell most about values."""
_LENGTH_BYTES = 8
"""The length of the content comes last, as a big-endian integer."""


def rounded_size(size: int) -> int:
    """The size to which bytes are rounded up: at most 12 % are added.

    Source: PADMÉ, in "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (2019).
    """
    if size <= _SIZE_MIN:
        return _SIZE_MIN
    exponent = size.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-size // step) * step


def padded(content: bytes) -> bytes:
    """Content, zeros up to a rounded size, and the content's length."""
    zeros = rounded_size(len(content) + _LENGTH_BYTES) - len(content) - _LENGTH_BYTES
    return content + bytes(zeros) + len(content).to_bytes(_LENGTH_BYTES, "big")


def unpadded(data: bytes) -> bytes | None:
    """The content of padded bytes. None for bytes that `padded` has not made."""
    end = len(data) - _LENGTH_BYTES
    if end < 0:
        return None
    length = int.from_bytes(data[end:], "big")
    if length > end or rounded_size(length + _LENGTH_BYTES) != len(data):
        return None
    return data[:length]
