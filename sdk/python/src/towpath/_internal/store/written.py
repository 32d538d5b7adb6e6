"""How a store hashes and pads what it stores."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..problem import StoreFault
from .codec import Encoded, Ref
from .hashes import PLAIN_HASHES, Content, Hashes
from .padding import padded, unpadded


class Writing(NamedTuple):
    """The keys of a store's hashes, and whether sizes are rounded up."""

    hashes: Hashes = PLAIN_HASHES
    round_sizes: bool = False

    def written(self, encoded: Encoded) -> Encoded:
        """A value as it is stored, with the hash that its ref has."""
        rounds = self.round_sizes and len(self.hashes.keys) > 0
        data = padded(encoded.data) if rounds else encoded.data
        sha256 = self.hashes.content(Content(encoded.codec, len(data), encoded.sha256, rounds))
        return Encoded(encoded.codec, data, sha256)

    def content(self, ref: Ref, data: bytes) -> bytes:
        """The content of the bytes that were read for a ref. @raises StoreFault if they are not the saved ones."""
        if len(data) == ref["sizeBytes"]:
            # The likely form first: each has a hash of its own.
            for is_padded in (True, False) if self.round_sizes else (False, True):
                found = unpadded(data) if is_padded else data
                if found is not None and self._is_content(ref, found, is_padded):
                    return found
        raise StoreFault(
            f"The value at {ref['uri']} is not the saved one: its size or hash differs.",
            next="Another program wrote to the store, or the store key that hashed the value is gone. "
            "Run the task that created the value again.",
        )

    def _is_content(self, ref: Ref, found: bytes, is_padded: bool) -> bool:
        sha256 = hashlib.sha256(found).hexdigest()
        return self.hashes.is_content(ref["sha256"], Content(ref["codec"], ref["sizeBytes"], sha256, is_padded))


PLAIN = Writing()
"""For runs without a worker."""
