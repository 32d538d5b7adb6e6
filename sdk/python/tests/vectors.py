"""The test vectors that every engine runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "test" / "protocol" / "vectors" / "engine"
"""Where they are."""


def vectors(name: str) -> Any:
    """The content of one file of vectors."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
