"""A value that the store cannot hold exactly."""

from __future__ import annotations


class Unfit(Exception):
    """Why a value would not come back equal. `found` describes it: `an array of Python objects`."""

    def __init__(self, found: str, next: str | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.next = next
