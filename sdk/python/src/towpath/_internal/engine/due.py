"""The due time of a scheduled run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ..clock import datetime_of


class Interval(NamedTuple):
    """The data interval of a due time: from the previous due time up to this one, excluding its end."""

    start: datetime
    end: datetime


class Due(NamedTuple):
    """The due time of a scheduled run, which may be before the run's start."""

    schedule: str
    """The schedule's name."""
    at: datetime
    """When it was due, in UTC."""
    interval: Interval
    """From the previous due time (`start`) up to this one (`end`), which does not belong to it."""


def due_of(told: Mapping[str, Any] | None) -> Due | None:
    """The due time in a worker's answer. None: the run is not scheduled, or the worker is of an earlier release."""
    if told is None:
        return None
    at = datetime_of(told["at"])
    return Due(told["schedule"], at, Interval(datetime_of(told["intervalStart"]), at))
