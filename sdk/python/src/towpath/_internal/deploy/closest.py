"""Names that are spelt like another one."""

from __future__ import annotations

from collections.abc import Iterable


def advice(written: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the closest known one, or all of them."""
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(written, names, n=1)
    return f'Did you mean "{near[0]}"?' if near else f"Known: {', '.join(names) or 'none'}."
