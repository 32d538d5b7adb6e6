"""Lengths of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Union

from ..problem import InvalidDefinition

Duration = Union[str, timedelta, float, int]
"""`"30s"`, `"1h30m"`, a timedelta, or seconds."""

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"([0-9]{1,9})\s*(ms|[smhdw])\s*")


def ms_of(what: str, duration: Duration) -> float:
    """A duration in milliseconds.

    Raises:
        InvalidDefinition: names `what`.
    """
    ms: float | None = None
    if isinstance(duration, timedelta):
        ms = duration.total_seconds() * 1000
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        ms = duration * 1000
    elif isinstance(duration, str):
        ms = _parsed(duration.strip())
    if ms is None or not 0 <= ms < float("inf"):
        raise InvalidDefinition(
            f'{what}: {duration!r} is not a duration; write "90s", "15m", "1h30m", a timedelta, or seconds.'
        )
    return ms


def _parsed(text: str) -> float | None:
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(int(part.group(1)) * _UNITS_MS[part.group(2)] for part in parts)
