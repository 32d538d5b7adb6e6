"""Results that runs share."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

from towpath import Cache, InvalidDefinition, flow, task
from towpath._internal.store.codec import encode
from towpath._internal.store.file_store import FileStore
from towpath.test import run_flow


class TaskCache(unittest.TestCase):
    def test_a_later_run_takes_the_result_of_an_equal_call(self) -> None:
        calls: list[Any] = []

        @task(cache=True)
        def load(path: str, n: int = 1) -> list[str]:
            calls.append((path, n))
            return [path] * n

        @task(cache=Cache(by=lambda day, **_: day[:7], expires="1h"))
        def month(day: str, note: str = "") -> str:
            calls.append(day)
            return day

        @flow
        def body(path: str) -> Any:
            return [load(path), load(path, n=1), load(path, 2), month("2026-01-01"), month("2026-01-31", note="x")]

        first = run_flow(body, {"path": "a"})
        self.assertEqual(first.value, [["a"], ["a"], ["a", "a"], "2026-01-01", "2026-01-01"])
        self.assertEqual(calls, [("a", 1), ("a", 2), "2026-01-01"])
        # A new run without the checkpoints of the first, in the same store.
        second = run_flow(body, {"path": "a"}, store=first.store)
        self.assertEqual(second.value, first.value)
        self.assertEqual(second.executions, {})
        self.assertTrue(any("took its result from the cache" in line for line in second.logs))

    def test_it_expires_is_made_anew_and_belongs_to_its_code(self) -> None:
        calls: list[str] = []

        def made(**options: Any) -> Any:
            @task(name="load", **options)
            def load() -> str:
                calls.append("load")
                return "loaded"

            @flow
            def body() -> str:
                return load()

            return body

        store = run_flow(made(cache=Cache(by="code", expires=3600)), clock="system").store
        run_flow(made(cache=Cache(by="code", expires=3600)), store=store)
        self.assertEqual(len(calls), 1)
        run_flow(made(cache=Cache(by="code", expires=0.000001)), store=store)
        run_flow(made(cache=Cache(by="code", refresh=True)), store=store)
        run_flow(made(cache=True, version="2"), store=store)
        self.assertEqual(len(calls), 4)

    def test_wrong_options_are_refused(self) -> None:
        for wrong in (
            lambda: Cache(by=()),
            lambda: Cache(by="inputs"),
            lambda: Cache(expires=0),
            lambda: task(cache=1)(max),
        ):  # type: ignore[arg-type]
            with self.assertRaises(InvalidDefinition):
                wrong()

    def test_the_store_keeps_the_latest_value_of_a_name(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = FileStore(Path(folder).as_uri())
            self.assertIsNone(store.find("cache/load/a"))
            for value in ([1], [2]):
                store.save_as("cache/load/a", encode(value, "result"), saved_at="2026-01-01T00:00:00.000Z", run_id="r")
            found = store.find("cache/load/a")
            assert found is not None
            self.assertEqual(store.load(found.ref), [2])
            Path(folder, "cache/load/a.json").write_text("{")
            self.assertIsNone(store.find("cache/load/a"))


if __name__ == "__main__":
    unittest.main()
