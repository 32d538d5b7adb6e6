"""Texts as the run protocol measures them: in UTF-16 units, as JavaScript does."""

from __future__ import annotations

FLOW_TEXT_CHARS = 64 * 1024
"""The longest text of a log line or an error."""


def utf16_length(text: str) -> int:
    """The length of a text in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_for_worker(text: str) -> str:
    """Cuts a text at exactly the limit of the run protocol. By this length, the worker knows that the text's end may be
    half a secret, and removes it."""
    if len(text) * 2 <= FLOW_TEXT_CHARS or utf16_length(text) <= FLOW_TEXT_CHARS:
        return text
    units = text[:FLOW_TEXT_CHARS].encode("utf-16-le", "surrogatepass")[: FLOW_TEXT_CHARS * 2]
    return units.decode("utf-16-le", "surrogatepass")


def is_well_formed(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which UTF-8 cannot encode."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
