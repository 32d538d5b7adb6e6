"""Values that are the same in every attempt."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from ..clock import datetime_of, instant
from ..engine.interrupt import in_engine_code
from ..engine.scope import Scope, scope_for
from ..task.identity import NO_KEY, CallKey

_MANTISSA_BYTES = 6


def _placed(name: str, key: str | None) -> tuple[Scope, str]:
    scope = scope_for(f"{name}()", "Use it inside a flow's function or task.")
    path, settled = scope.calls.name(name, NO_KEY if key is None else CallKey("given", key), "value")
    settled()
    return scope, path


def draw_of(origin: str, path: str) -> bytes:
    """Bytes derived from the first run of a chain of reruns and the call's path."""
    return hashlib.sha256(f"{origin}\n{path}".encode("utf-8", "surrogatepass")).digest()


def random_of(draw: bytes) -> float:
    """The number of a draw."""
    return int.from_bytes(draw[:_MANTISSA_BYTES], "big") / 2.0 ** (8 * _MANTISSA_BYTES)


def uuid_of(draw: bytes) -> UUID:
    """The UUID of a draw, of version 8."""
    changed = bytearray(draw[:16])
    changed[6] = (changed[6] & 0x0F) | 0x80
    changed[8] = (changed[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(changed))


def _drawn(name: str, key: str | None) -> bytes:
    scope, path = _placed(name, key)
    return draw_of(scope.run.host.resume.origin, path)


def now(*, key: str | None = None) -> datetime:
    """The time of the first such call in this run, in UTC. It is the same in every attempt.

    Args:
        key: distinguishes calls in concurrent branches.

    Raises:
        TaskIdentityUnknown: when called again without a key beside running tasks.
    """
    return in_engine_code(_now, key)


def _now(key: str | None) -> datetime:
    scope, path = _placed("now", key)
    host = scope.run.host
    told = scope.run.checkpoints.earlier.instant_at(path)
    if told is None:
        told = instant(host.clock)
        # Recorded before any record of a task that takes this time as input.
        host.records.post({"type": "kept", "at": told, "path": path})
    return datetime_of(told)


def random(*, key: str | None = None) -> float:
    """A number from 0 up to but not including 1, the same in every attempt. Do not use it for secrets."""
    return random_of(in_engine_code(_drawn, "random", key))


def uuid(*, key: str | None = None) -> UUID:
    """A UUID (version 8), the same in every attempt: suitable as an idempotency key. Do not use it for secrets."""
    return uuid_of(in_engine_code(_drawn, "uuid", key))
