"""Artifacts: content that a run's page shows beside its log. The latest body of a key is shown."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..clock import instant
from ..engine.host import INLINE_ARTIFACT_BYTES, STORED_ARTIFACT_BYTES
from ..engine.interrupt import in_engine_code
from ..engine.scope import Scope, scope_for
from ..problem import InvalidDefinition
from ..text import utf16_length

_KEY_CHARS_MAX = 200
_TITLE_CHARS_MAX = 200
_LINK_CHARS_MAX = 500
_COLUMNS_MAX = 64
_INLINE_ROWS = 500
_STORED_ROWS = 10_000
_IMAGES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"<svg": "image/svg+xml", b"<?xml": "image/svg+xml"}


def markdown(key: str, text: str, *, title: str = "") -> None:
    """Shows Markdown: at most 32 KiB, or 1,000,000 bytes on a worker with workspace keys."""
    _post(key, title, {"kind": "markdown", "text": str(text)})


def table(
    key: str,
    rows: Iterable[Mapping[str, Any] | Sequence[Any]] | Any,
    *,
    columns: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Shows a table of at most 64 columns and 500 rows, or 10,000 rows on a worker with workspace keys. Further rows are left out.

    Args:
        rows: dicts, sequences with `columns`, or a data frame of pandas or polars.
    """
    rows_max = _STORED_ROWS if _scope().run.host.facts.artifact_bytes > INLINE_ARTIFACT_BYTES else _INLINE_ROWS
    given, names = _rows_of(rows, columns, rows_max)
    if len(names) > _COLUMNS_MAX:
        raise InvalidDefinition(f'artifact "{key}" has {len(names)} columns; a table has at most {_COLUMNS_MAX}.')
    cells = [[_cell(cell) for cell in row] for row in given[:rows_max]]
    _post(key, title, {"kind": "table", "columns": names, "rows": cells})


def image(key: str, data: bytes, *, title: str = "") -> None:
    """Shows a PNG, JPEG or SVG: as base64 at most 32 KiB, or 1,000,000 bytes on a worker with workspace keys."""
    kind = next((kind for head, kind in _IMAGES.items() if data.lstrip()[: len(head)] == head), None)
    if kind is None:
        raise InvalidDefinition(f'artifact "{key}" is no PNG, JPEG or SVG.')
    _post(key, title, {"kind": "image", "mediaType": kind, "base64": base64.b64encode(data).decode("ascii")})


def link(key: str, url: str, *, text: str | None = None, title: str = "") -> None:
    """Shows a link. The URL begins with http:// or https://."""
    if not url.startswith(("http://", "https://")):
        raise InvalidDefinition(f'artifact "{key}" needs a url that begins with http:// or https://.')
    _post(key, title, {"kind": "link", "url": url, "text": (text or url)[:_LINK_CHARS_MAX]})


def progress(key: str, done: float, total: float | None = None, *, unit: str = "", title: str = "") -> None:
    """Shows how much is done."""
    if not all(math.isfinite(number) for number in (done, 0 if total is None else total)):
        raise InvalidDefinition(f'artifact "{key}" has progress {done} of {total}; both must be finite numbers.')
    _post(key, title, {"kind": "progress", "done": done, "total": total, "unit": unit})


def _rows_of(rows: Any, columns: Sequence[str] | None, rows_max: int) -> tuple[list[Any], list[str]]:
    frame = getattr(rows, "columns", None)
    if frame is not None and columns is None:
        names = [str(name) for name in frame]
        # pandas has itertuples, polars has rows.
        lines = rows.head(rows_max)
        return list(lines.itertuples(index=False) if hasattr(lines, "itertuples") else lines.rows()), names
    given = list(rows)
    if columns is not None:
        return given, list(columns)
    if not all(isinstance(row, Mapping) for row in given):
        raise InvalidDefinition("artifact.table takes dicts, or rows together with columns=[...].")
    names = list(dict.fromkeys(str(name) for row in given for name in row))
    return [[row.get(name) for name in names] for row in given], names


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)) and abs(value) < 2**53:
        return value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return _cell(item())
    try:
        return str(value)
    except RecursionError:
        return f"<a {type(value).__name__} that is nested too deeply>"


def _scope() -> Scope:
    return scope_for("artifact", "Use it inside a flow's function or task.")


def _post(key: str, title: str, body: Mapping[str, Any]) -> None:
    in_engine_code(_post_in_engine, key, title, body)


def _post_in_engine(key: str, title: str, body: Mapping[str, Any]) -> None:
    scope = _scope()
    if not 1 <= utf16_length(key) <= _KEY_CHARS_MAX:
        raise InvalidDefinition(f'artifact "{key[:_KEY_CHARS_MAX]}" needs a key of 1 to {_KEY_CHARS_MAX} characters.')
    if utf16_length(title) > _TITLE_CHARS_MAX:
        raise InvalidDefinition(f'artifact "{key}" can have a title of at most {_TITLE_CHARS_MAX} characters.')
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    most = scope.run.host.facts.artifact_bytes
    if size > most:
        stored = f" ({STORED_ARTIFACT_BYTES:,} on a worker with workspaceKeys)" if most < STORED_ARTIFACT_BYTES else ""
        raise InvalidDefinition(
            f'artifact "{key}" has {size:,} bytes; at most {most:,} are shown{stored}. Store it, and show a part or a link.'
        )
    host = scope.run.host
    host.records.post(
        {"type": "artifact", "at": instant(host.clock), "key": key, "title": title, "body": body, **scope.of_task()}
    )
