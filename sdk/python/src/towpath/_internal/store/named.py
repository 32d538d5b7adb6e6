"""Values that runs share, under names. An entry is a small JSON file beside the value, with the ref of the value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .codec import CODEC_ENDINGS, Encoded, Ref

ENTRY_BYTES_MAX = 16 * 1024
_FORMAT = 1
_HASH_CHARS = 16
_CODEC = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class NamedValue:
    """The latest value of a name, from any run. `saved_at` is a UTC time as records carry it."""

    ref: Ref
    saved_at: str
    run_id: str


def value_path(name: str, encoded: Encoded) -> str:
    """The relative path of a value of a name. Another value has another path, so nothing is overwritten."""
    return f"{name}.{encoded.sha256[:_HASH_CHARS]}.{CODEC_ENDINGS[encoded.codec]}"


def entry_path(name: str) -> str:
    """The relative path of the entry of a name."""
    return f"{name}.json"


def entry_of(named: NamedValue) -> bytes:
    """The content of an entry."""
    entry = {"format": _FORMAT, "savedAt": named.saved_at, "runId": named.run_id, "ref": named.ref}
    return f"{json.dumps(entry, separators=(',', ':'))}\n".encode("ascii")


def read_entry(data: bytes) -> NamedValue | None:
    """An entry from its content. None if it is none."""
    try:
        entry = json.loads(data)
    except ValueError:
        return None
    if not isinstance(entry, Mapping) or type(entry.get("format")) is not int or entry["format"] != _FORMAT:
        return None
    ref, saved_at, run_id = _ref_of(entry.get("ref")), entry.get("savedAt"), entry.get("runId")
    if ref is None or not isinstance(saved_at, str) or not isinstance(run_id, str):
        return None
    return NamedValue(ref, saved_at, run_id)


def _ref_of(found: Any) -> Ref | None:
    texts = ("uri", "codec", "sha256")
    is_ref = isinstance(found, dict) and all(isinstance(found.get(one), str) for one in texts)
    if not is_ref or type(found.get("sizeBytes")) is not int:
        return None
    if not _CODEC.fullmatch(found["codec"]) or not _SHA256.fullmatch(found["sha256"]):
        return None
    ref: Any = found
    return ref  # type: ignore[no-any-return]
