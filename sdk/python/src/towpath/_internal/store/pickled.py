"""Results that only pickle can hold. Reading one runs code that it contains, so its MAC is checked before."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Union

from ..problem import NotSerialisable, StoreFault, TowpathError
from .codec import PICKLE, Encoded

Owner = Sequence[Union[str, None]]
"""What a value belongs to. A value is read only for the owner that it was written for, so that nobody can move it."""

_HEADER = b"towpath-pickle-1\n"
_MAC_BYTES = 32
# The newest that each supported Python reads.
_PROTOCOL = 5
_NO_CONSENT = 'Return plain data, or deploy the flow with codecs=["pickle"] to store it with pickle.'
_NO_KEY = 'The deployment allows pickle, but this worker has no store key. Add one under "keys" of the store in its configuration.'


class Pickles:
    """Writes and reads pickled results with the keys of a deployment."""

    def __init__(self, keys: Sequence[bytes] | None) -> None:
        """@param keys The first one signs, and values of all of them are read. None: the deployment does not allow pickle."""
        self._keys = keys

    @property
    def is_on(self) -> bool:
        """Whether results are written with pickle."""
        return self._keys is not None and len(self._keys) > 0

    def write(self, value: object, owner: Owner, unfit: Exception) -> Encoded:
        """Writes a value that no other codec can hold.

        Args:
            unfit: why no other codec can hold it.

        Raises:
            NotSerialisable: says what to do.
        """
        if not self._keys:
            raise _unwritten(unfit, _NO_CONSENT if self._keys is None else _NO_KEY) from unfit
        import pickle

        try:
            content = pickle.dumps(value, protocol=_PROTOCOL)
        except Exception as cause:
            raise _unwritten(unfit, f"Pickle cannot hold it either: {cause}") from cause
        data = _HEADER + _mac(self._keys[0], owner, content) + content
        return Encoded(PICKLE, data, hashlib.sha256(data).hexdigest())

    def read(self, data: bytes, owner: Owner, uri: str) -> Any:
        """Reads a value of an owner. Nothing is unpickled before the MAC is checked.

        Raises:
            StoreFault: if this deployment has not written exactly these bytes for this owner, or they cannot be unpickled.
        """
        if not self._keys:
            raise StoreFault(
                f"The value at {uri} was stored with pickle.", next=_NO_CONSENT if self._keys is None else _NO_KEY
            )
        start = len(_HEADER) + _MAC_BYTES
        # A model may be large, so it is not copied.
        content = memoryview(data)[start:]
        if not data.startswith(_HEADER) or not _is_signed(self._keys, data[len(_HEADER) : start], owner, content):
            raise StoreFault(
                f"The pickled value at {uri} is not read: no store key of this worker has signed it for this task.",
                next="Another program wrote to the store, or the key that signed it is gone.",
            )
        import pickle

        try:
            return pickle.loads(content)
        except Exception as cause:
            raise StoreFault(f"{uri} cannot be unpickled here: {type(cause).__name__}: {cause}.") from cause


def _unwritten(unfit: Exception, next: str) -> NotSerialisable:
    """Says what no codec can hold, and what to do."""
    error = NotSerialisable("result", "no data")
    told = unfit.args[0] if isinstance(unfit, NotSerialisable) else str(unfit)
    TowpathError.__init__(error, str(told), next=next)
    return error


def pickles_of(keys: Sequence[str] | None) -> Pickles:
    """Of the keys in a run's context. @param keys In base64url, without padding."""
    return Pickles(None if keys is None else [base64.urlsafe_b64decode(f"{key}==") for key in keys])


def _is_signed(keys: Sequence[bytes], mac: bytes, owner: Owner, content: bytes | memoryview) -> bool:
    import hmac

    return any(hmac.compare_digest(_mac(key, owner, content), mac) for key in keys)


def _mac(key: bytes, owner: Owner, content: bytes | memoryview) -> bytes:
    """The owner is JSON, and its length comes first, so that no part of one value can become a part of another."""
    import hmac

    told = json.dumps(list(owner), separators=(",", ":")).encode("ascii")
    mac = hmac.new(key, _HEADER, hashlib.sha256)
    mac.update(len(told).to_bytes(8, "big"))
    mac.update(told)
    mac.update(content)
    return mac.digest()


NO_PICKLES = Pickles(None)
"""For runs whose deployment does not allow pickle."""
