"""Notebooks as files: their cells, without a library."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..problem import InvalidDefinition

_BYTES_MAX = 64_000_000
_NAME_CHARS_MAX = 200
_FORMAT = 4
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_TASK_TAG = "task:"
_PARAMETERS_TAG = "parameters"
_SKIP_TAG = "skip-execution"


@dataclass(frozen=True)
class Cell:
    """A code cell that runs."""

    index: int
    """Its place among all cells, from 0."""
    number: int
    """Its place among the code cells that run, from 1."""
    id: str
    name: str
    source: str

    @property
    def key(self) -> str:
        """What identifies its task run. Ids may be missing in old notebooks, and equal in edited ones."""
        return f"{self.number}-{self.id}" if self.id else str(self.number)


@dataclass(frozen=True)
class Notebook:
    """A notebook as it was when its flow was declared."""

    path: Path
    text: str
    cells: tuple[Cell, ...]
    parameters: Cell | None
    """The first code cell with the tag `parameters`."""


def read_notebook(path: Path) -> Notebook:
    """Reads a notebook of Python.

    Raises:
        InvalidDefinition: says why the file cannot run.
    """
    try:
        size = path.stat().st_size
        if size > _BYTES_MAX:
            raise _refused(
                path, f"has {size:,} bytes; at most {_BYTES_MAX:,} are read. Clear its outputs, and save it."
            )
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except FileNotFoundError:
        raise _refused(path, "does not exist. Give the path relative to the module's folder.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path, f"cannot be read: {error}") from None
    if not isinstance(data, dict) or data.get("nbformat") != _FORMAT or not isinstance(data.get("cells"), list):
        raise _refused(path, f"is no notebook of format {_FORMAT}. Open it in Jupyter, and save it again.")
    language = _language_of(data.get("metadata"))
    if language != "python":
        raise _refused(path, f"is written in {language}. Only notebooks of Python can be flows.")
    cells = tuple(_cells_of(path, data["cells"]))
    marked = {index for index, cell in enumerate(data["cells"]) if _PARAMETERS_TAG in _tags_of(cell)}
    return Notebook(path, text, cells, next((cell for cell in cells if cell.index in marked), None))


def _refused(path: Path, why: str) -> InvalidDefinition:
    return InvalidDefinition(f'notebook "{path}" {why}')


def _language_of(metadata: Any) -> str:
    """The language of a notebook. One without this fact is taken for Python, as Jupyter does."""
    found: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
    kernel, info = found.get("kernelspec") or {}, found.get("language_info") or {}
    return str(kernel.get("language") or info.get("name") or "python").lower()


def _cells_of(path: Path, cells: list[Any]) -> list[Cell]:
    found: list[Cell] = []
    heading = None
    for index, cell in enumerate(cells):
        if not isinstance(cell, dict):
            raise _refused(path, f"has no cell at place {index + 1}. Open it in Jupyter, and save it again.")
        source = _source_of(cell)
        if cell.get("cell_type") == "markdown" and heading is None:
            matched = _HEADING.search(source)
            heading = None if matched is None else matched.group(1)
        if cell.get("cell_type") != "code" or not source.strip() or _SKIP_TAG in _tags_of(cell):
            continue
        number = len(found) + 1
        name = _tagged_name(cell) or heading or f"cell {number}"
        found.append(Cell(index, number, str(cell.get("id") or ""), name[:_NAME_CHARS_MAX], source))
        heading = None
    return found


def _tags_of(cell: Any) -> list[str]:
    metadata = cell.get("metadata") if isinstance(cell, dict) else None
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def _tagged_name(cell: Any) -> str | None:
    named = (tag[len(_TASK_TAG) :].strip() for tag in _tags_of(cell) if tag.startswith(_TASK_TAG))
    return next((name for name in named if name), None) or (
        _PARAMETERS_TAG if _PARAMETERS_TAG in _tags_of(cell) else None
    )


def _source_of(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)
