"""Notebooks as flows, without a kernel: their cells, names and parameters."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import sys
import tempfile
import unittest
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from towpath import InvalidDefinition, InvalidParameters, notebook
from towpath._internal.notebook.parameters import signature_of, source_of
from towpath._internal.notebook.read import read_notebook
from towpath.test import run_flow

PLAIN = """
import datetime as dt
from typing import Literal
path: str = "x"
depths = [1, 2]
day: dt.date = dt.date(2026, 1, 1)
mode: Literal["fast", "exact"] = "fast"
rate = 0.5
n: int
_own = 3
"""


def code(source: str, *tags: str, id: str = "") -> dict[str, Any]:
    own = {"id": id} if id else {}
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source, "outputs": [], **own}


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


class Notebooks(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "Train all.ipynb")

    def write(self, *cells: Any, **more: Any) -> Path:
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}
        self.path.write_text(json.dumps(book), encoding="utf-8")
        return self.path

    def refused(self, why: str) -> None:
        with self.assertRaisesRegex(InvalidDefinition, why):
            notebook(self.path)

    def test_the_parameters_cell_is_the_schema(self) -> None:
        flow = notebook(self.write(code(PLAIN, "parameters"), code("1")))
        self.assertEqual(flow.name, "train-all")
        schema = flow.input.schema()
        self.assertEqual(schema["required"], ["n"])
        self.assertEqual(
            schema["properties"],
            {
                "path": {"type": "string", "default": "x"},
                "depths": {"type": "array", "items": {"type": "integer"}, "default": [1, 2]},
                "day": {"type": "string", "format": "date", "default": "2026-01-01"},
                "mode": {"enum": ["fast", "exact"], "default": "fast"},
                "rate": {"type": "number", "default": 0.5},
                "n": {"type": "integer"},
            },
        )
        with self.assertRaisesRegex(InvalidParameters, "depths\\[1\\]: must be a whole number"):
            flow.input.read({"n": 1, "depths": [1, "x"]})

    def test_only_arguments_that_are_no_defaults_are_set_as_source_code(self) -> None:
        flow = notebook(self.write(code(PLAIN, "parameters")))
        signature = inspect.signature(flow.fn)
        source = source_of(flow.input.read({"n": 2, "day": "2026-02-03"}), signature)
        names: dict[str, Any] = {}
        exec(source, names)
        del names["__builtins__"]
        self.assertEqual(names, {"n": 2, "day": dt.date(2026, 2, 3)})

    def test_values_come_back_equal_from_source_code(self) -> None:
        values = {
            "a": [1, 2.5, None, True, "it's\n", float("inf")],
            "b": {"x": (1,), "y": set(), "z": {1}},
            "c": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
            "d": dt.timedelta(days=-1, microseconds=3),
            "e": Decimal("1.10"),
            "f": UUID(int=5),
            "g": Path("a/b"),
        }
        made = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in values]
        names: dict[str, Any] = {}
        exec(source_of(values, inspect.Signature(made)), names)
        self.assertEqual({name: names[name] for name in values}, values)

    def test_cells_are_named_by_tag_heading_or_number_and_identified_by_number_and_id(self) -> None:
        cells = read_notebook(
            self.write(
                text("# Title\n\n## Load the data ##"),
                code("1", id="a"),
                code("  \n"),
                code("2", "skip-execution"),
                text("no heading"),
                code("3", "task:fit", id="b"),
                code(["4\n", "5"], id="b"),  # type: ignore[arg-type]
            )
        ).cells
        self.assertEqual([one.name for one in cells], ["Title", "fit", "cell 3"])
        self.assertEqual([one.key for one in cells], ["1-a", "2-b", "3-b"])
        self.assertEqual([one.index for one in cells], [1, 5, 6])
        self.assertEqual(cells[2].source, "4\n5")

    def test_a_notebook_that_cannot_run_is_refused_when_it_is_declared(self) -> None:
        self.refused("does not exist")
        self.path.write_text("{", encoding="utf-8")
        self.refused("cannot be read")
        self.write(nbformat=3)
        self.refused("no notebook of format 4")
        self.write(metadata={"kernelspec": {"language": "R"}})
        self.refused("is written in r")
        self.write(code("x = 1\ny = 1 / 0", "parameters"))
        self.refused("fails in line 2: ZeroDivisionError")
        self.write(code("%pip install x", "parameters"))
        self.refused("fails in line 1: SyntaxError.*without magics")
        self.write(code("class Own: pass\nx = Own()", "parameters"))
        self.refused("parameter x has the type Own.*Use plain types")

    def test_a_run_without_the_packages_says_which_extra_to_install(self) -> None:
        flow = notebook(self.write(code("1")))
        # An import of a module that is None fails.
        sys.modules["ipykernel"] = None  # type: ignore[assignment]
        self.addCleanup(sys.modules.pop, "ipykernel")
        run = run_flow(flow)
        self.assertEqual(run.outcome, "failed")
        self.assertRegex(str(run.error), r'needs the package ipykernel.*pip install "towpath\[notebook\]"')

    def test_the_name_stays_the_function_when_the_command_was_imported(self) -> None:
        import towpath
        import towpath.notebook

        self.assertTrue(inspect.isfunction(towpath.notebook))
        self.assertEqual(signature_of(read_notebook(self.write())), inspect.Signature())


if __name__ == "__main__":
    unittest.main()
