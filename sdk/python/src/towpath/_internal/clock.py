"""The clock. Nothing else in this package reads the time."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .engine.cancel import Cancel


class Clock(Protocol):
    """Times of a run. Tests have a clock of their own."""

    def now_ms(self) -> float:
        """Milliseconds since 1970."""
        ...

    def monotonic_ms(self) -> float:
        """Milliseconds of a clock that never goes back."""
        ...

    def pause(self, ms: float, cancel: Cancel) -> None:
        """Waits in this thread. @raises the reason, if a request to stop comes meanwhile."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> float:
        return time.time_ns() / 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic_ns() / 1_000_000

    def pause(self, ms: float, cancel: Cancel) -> None:
        cancel.pause(ms)


SYSTEM_CLOCK = SystemClock()


def iso_of(ms: float) -> str:
    """A UTC time as records carry it, such as `2026-03-01T12:00:00.000Z`."""
    whole = int(ms)
    seconds, rest = divmod(whole, 1000)
    t = time.gmtime(seconds)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}.{rest:03d}Z"


def instant(clock: Clock) -> str:
    """Now, as records carry it."""
    return iso_of(clock.now_ms())


def datetime_of(iso: str) -> datetime:
    """The time in a record, as an aware datetime in UTC. @raises ValueError"""
    return datetime.fromisoformat(iso.replace("Z", "+00:00")).astimezone(timezone.utc)
