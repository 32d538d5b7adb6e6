"""The hashes that leave with a run: of inputs, of contents and of names. Equal to the TypeScript engine's."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

_CONTENT_CHARS = 32
"""Half of a ref's 64 digits: the hash of the content. The other half belongs to the worker."""
_UNSIGNED = "0" * _CONTENT_CHARS
_KEY_BYTES = 32


class Content(NamedTuple):
    """Stored bytes of a value, as its ref describes them."""

    codec: str
    size: int
    """The size of the stored bytes, with their padding."""
    sha256: str
    """The SHA-256 of the value without padding, hex. It never leaves this process."""
    is_padded: bool


class Hashes(NamedTuple):
    """With keys, nobody without a key can guess a value from its hash. Without a worker nothing leaves, so there are none."""

    keys: tuple[bytes, ...] = ()
    """The first one hashes. Values of the others are still found and read."""

    @property
    def each(self) -> list[Hashes]:
        """The hashes by each key alone, the current one first."""
        return [Hashes((key,)) for key in self.keys] or [self]

    def input(self, digest: bytes) -> str:
        """The hash of a call's input, hex. @param digest The SHA-256 of the input's tokens."""
        return _mac(self.keys[0], "input", digest) if self.keys else digest.hex()

    def name(self, content: bytes) -> str:
        """The hash of bytes in a name, hex."""
        return _mac(self.keys[0], "name", content) if self.keys else hashlib.sha256(content).hexdigest()

    def content(self, content: Content) -> str:
        """What a ref has as its `sha256`."""
        return _content(self.keys[0], content) + _UNSIGNED if self.keys else content.sha256

    def is_content(self, told: str, content: Content) -> bool:
        """Whether a ref's `sha256` is one of exactly this content, by any key."""
        if not self.keys:
            return not content.is_padded and told == content.sha256
        own = told[:_CONTENT_CHARS].encode("ascii", "replace")
        return any(hmac.compare_digest(_content(key, content).encode("ascii"), own) for key in self.keys)

    def counted(self, sha256: str) -> str:
        """What a ref counts by in the hash of an input."""
        return sha256[:_CONTENT_CHARS] if self.keys else sha256


PLAIN_HASHES = Hashes()
"""Hashes without a key, for runs without a worker and for workers of an earlier release."""


def hashes_of(keys: Sequence[str] | None) -> Hashes:
    """The hashes of a run on a worker. @param keys In base64url, without padding: the context's `hashKeys`."""
    found = tuple(base64.urlsafe_b64decode(f"{key}==") for key in keys or ())
    if any(len(key) != _KEY_BYTES for key in found):
        raise ValueError(f"a hash key has {_KEY_BYTES} bytes")
    return Hashes(found)


def _mac(key: bytes, label: str, content: bytes) -> str:
    """With a label, so that a hash for one purpose is never one for another."""
    made = hmac.new(key, f"{label}\n".encode("ascii"), hashlib.sha256)
    made.update(content)
    return made.hexdigest()


def _content(key: bytes, content: Content) -> str:
    label = f"{'padded' if content.is_padded else 'content'} {content.codec} {content.size}"
    return _mac(key, label, bytes.fromhex(content.sha256))[:_CONTENT_CHARS]
