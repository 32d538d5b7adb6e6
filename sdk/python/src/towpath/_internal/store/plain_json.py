"""Values that leave for another run or program, as JSON. Unlike stored values, they do not come back with Python's kinds."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..input.convert import json_of
from ..problem import NotSerialisable
from .typed_json import path_text, plain_type

_DEPTH_MAX = 64
_NEXT = "Pass plain data."


def plain_json(value: object, name: str) -> Any:
    """A value as JSON. Dataclasses become objects; tuples and sets, lists; times, paths and decimals, texts.

    Raises:
        NotSerialisable: names the part that JSON cannot hold.
    """
    return _part(value, name, (), set())


def number_fault(value: object, name: str) -> tuple[str, float] | None:
    """The first number that JSON does not have, with its place, in dicts and lists. None: there is none."""
    stack: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    seen: set[int] = set()
    while stack:
        one, steps = stack.pop()
        if isinstance(one, float) and not math.isfinite(one):
            return path_text(name, steps), one
        if isinstance(one, (dict, list, tuple)) and id(one) not in seen:
            seen.add(id(one))
            inside = one.items() if isinstance(one, dict) else enumerate(one)
            stack.extend(
                reversed([(item, (*steps, key if isinstance(key, int) else str(key))) for key, item in inside])
            )
    return None


def _part(value: Any, name: str, steps: tuple[str | int, ...], above: set[int]) -> Any:
    made = (
        json_of(value) if not isinstance(value, (list, tuple, set, frozenset, dict)) and not _is_data(value) else value
    )
    if made is None or isinstance(made, (str, bool, int)):
        return made
    if isinstance(made, float):
        if math.isfinite(made):
            return made
        raise NotSerialisable(path_text(name, steps), str(made), next="JSON has no such number: pass None.")
    if id(value) in above:
        raise NotSerialisable(path_text(name, steps), "part of a cycle", next=_NEXT)
    if len(above) >= _DEPTH_MAX:
        raise NotSerialisable(path_text(name, steps), f"nested more than {_DEPTH_MAX} deep", next=_NEXT)
    above.add(id(value))
    try:
        if isinstance(made, dict):
            return {_key(key, name, steps): _part(item, name, (*steps, str(key)), above) for key, item in made.items()}
        if isinstance(made, (list, tuple, set, frozenset)):
            return [_part(item, name, (*steps, index), above) for index, item in enumerate(made)]
        if _is_data(made):
            fields = [one.name for one in dataclasses.fields(made)]
            return {one: _part(getattr(made, one), name, (*steps, one), above) for one in fields}
    finally:
        above.discard(id(value))
    raise NotSerialisable(path_text(name, steps), plain_type(made), next=_NEXT)


def _is_data(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _key(key: object, name: str, steps: tuple[str | int, ...]) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise NotSerialisable(path_text(name, steps), f"a dict with the key {key!r}, which is no text", next=_NEXT)
