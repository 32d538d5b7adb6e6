"""JSON as every language reads it."""

from __future__ import annotations

import json
from typing import Any


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def parse_json(data: bytes) -> Any:
    """Reads JSON in UTF-8.

    Python's own reader also takes UTF-16, a byte order mark, NaN and Infinity.

    Raises:
        ValueError: if it is something else.
    """
    return json.loads(data.decode("utf-8"), parse_constant=_refuse)
