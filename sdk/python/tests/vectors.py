"""The test vectors that every engine runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[3] / "test" / "protocol" / "vectors" / "engine"


def vectors(name: str) -> Any:
    """The content of one file of vectors."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
