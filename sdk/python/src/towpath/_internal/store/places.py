"""Where values of a run lie in a store."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from urllib.parse import quote

from .codec import CODEC_ENDINGS, Encoded

_PART_CHARS_MAX = 120
_HASH_CHARS = 16
# What JavaScript's encodeURIComponent leaves as it is.
_UNESCAPED = "!'()*-._~"
_READABLE = {"%3A": "@", "%23": "+"}


class Place(NamedTuple):
    """The owner of a value. `task` is the path of the task run, empty for the flow itself."""

    run_id: str
    attempt: int
    task: str
    name: str

    @property
    def is_of_job(self) -> bool:
        """Whether it is the result of an external job. Attempts count from 1, and no attempt stores it."""
        return self.attempt == 0

    @property
    def folder(self) -> str:
        """The folder of the attempt."""
        return f"runs/{safe_part(self.run_id)}/attempt-{self.attempt}"

    def path_of(self, encoded: Encoded) -> str:
        """The relative path of a value's own file."""
        tasks = "" if self.task == "" else "".join(f"{safe_part(part)}/" for part in self.task.split("/"))
        ending = CODEC_ENDINGS[encoded.codec]
        return f"{self.folder}/{tasks}{safe_part(self.name)}.{encoded.sha256[:_HASH_CHARS]}.{ending}"


def safe_part(name: str) -> str:
    """Escapes a name to one part of a path. Different names give different parts, and no part can leave its folder."""
    escaped = quote(name, safe=_UNESCAPED, errors="surrogatepass")
    escaped = re.sub("%3A|%23", lambda found: _READABLE[found.group()], escaped)
    if escaped.startswith("."):
        escaped = f"%2E{escaped[1:]}"
    escaped = escaped.replace("*", "%2A")
    if len(escaped) <= _PART_CHARS_MAX:
        return escaped
    return f"~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
