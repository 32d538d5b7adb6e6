"""Values that a flow stores by itself, and their refs."""

from __future__ import annotations

import json
import unittest
from dataclasses import dataclass
from typing import Any

from towpath import (
    InvalidDefinition,
    OutsideOfRun,
    RunState,
    StoreFault,
    exponential,
    flow,
    get_run,
    load,
    run_facts,
    save,
    task,
)
from towpath._internal.store.codec import CODEC_ENDINGS
from towpath._internal.store.refs import is_ref
from towpath.test import run_flow

from .vectors import vectors


@dataclass
class Row:
    name: str
    size: int


@task(runs_in="process")
def doubled_elsewhere(rows: Any) -> Any:
    return save("doubled", [2 * row for row in load(rows)])


class Refs(unittest.TestCase):
    def test_vectors(self) -> None:
        for case in vectors("refs")["cases"]:
            with self.subTest(case["name"]):
                self.assertIs(is_ref(json.loads(case["text"])), case["isRef"])

    def test_each_codec_that_a_store_writes_has_a_vector(self) -> None:
        found = [json.loads(case["text"]) for case in vectors("refs")["cases"] if case["isRef"]]
        self.assertEqual({one["codec"] for one in found}, set(CODEC_ENDINGS))

    def test_a_ref_that_cannot_be_loaded_is_named_by_its_parameter(self) -> None:
        @flow
        def body(source: Any) -> Any:
            return load(source["rows"][1])

        ref = {"uri": "memory:///none.json", "codec": "json", "sizeBytes": 8, "sha256": "0" * 64}
        run = run_flow(body, {"source": {"note": "by hand", "rows": [1, ref]}})
        self.assertIsInstance(run.error, StoreFault)
        self.assertIn('The ref in the parameter "source.rows.1" cannot be loaded: ', str(run.error))


class Saved(unittest.TestCase):
    def test_a_value_is_saved_once_and_each_task_gets_its_ref(self) -> None:
        got: list[Any] = []

        @task
        def total(rows: Any, factor: int) -> int:
            got.append(rows)
            return factor * sum(one["size"] for one in load(rows))

        @flow
        def body() -> Any:
            rows = save("rows", [{"name": "a", "size": 1}, {"name": "b", "size": 2}])
            typed = load(rows, returns=list[Row])
            return [total(rows, 1), total(rows, 10), typed[1].name, rows["codec"]]

        run = run_flow(body)
        self.assertEqual(run.value, [3, 30, "b", "json"], run.error)
        self.assertEqual([set(one) for one in got], [{"uri", "codec", "sizeBytes", "sha256"}] * 2)

    def test_a_ref_counts_by_the_content_of_its_value(self) -> None:
        @task
        def use(ref: Any) -> str:
            return run_facts().task_path or ""

        @flow
        def body() -> Any:
            one, same, other = save("one", "text"), save("two", "text"), save("three", "other")
            return [use(one), use(same), use(other), run_facts().task_path]

        first, again, other, outside = run_flow(body).value
        self.assertEqual(again, f"{first}#2")
        self.assertNotEqual(other.split("#")[0], first)
        self.assertIsNone(outside)

    def test_what_cannot_be_saved_or_loaded_is_named(self) -> None:
        def error_of(work: Any) -> str:
            @flow
            def body() -> Any:
                return work()

            return str(run_flow(body).error)

        self.assertIn("rows[1]", error_of(lambda: save("rows", [1, object()])))
        self.assertIn("save needs a name", error_of(lambda: save("", 1)))
        self.assertIn("is no ref", error_of(lambda: load({"uri": "memory:///x"})))
        self.assertIn("is no ref", error_of(lambda: load({**save("a", 1), "more": 1})))
        self.assertIn("There is no value at", error_of(lambda: load({**save("a", 1), "uri": "memory:///x"})))
        self.assertIn("size or hash differs", error_of(lambda: load({**save("a", 1), "sha256": "0" * 64})))
        self.assertIn("value.size", error_of(lambda: load(save("a", {"name": "x"}), returns=Row)))
        self.assertIn("outside of a running flow", str(self.raised(lambda: save("a", 1), OutsideOfRun)))

    def test_a_cached_result_whose_saved_value_is_gone_is_made_again(self) -> None:
        @task(cache=True)
        def make(day: str) -> Any:
            return {"rows": [save("rows", [day])]}

        @flow
        def body() -> Any:
            return load(make("monday")["rows"][0])

        first = run_flow(body)
        again = run_flow(body, store=first.store)
        self.assertEqual((again.value, again.executions), (["monday"], {}))
        for uri in [uri for uri in first.store._values if "/rows." in uri]:
            del first.store._values[uri]
        made = run_flow(body, store=first.store)
        self.assertEqual((made.value, dict(made.executions)), (["monday"], {"make": 1}), made.error)
        self.assertIn("which is gone", "\n".join(made.logs))

    def test_a_task_in_a_process_of_its_own_can_save_and_load(self) -> None:
        @flow
        def body() -> Any:
            return load(doubled_elsewhere(save("rows", [1, 2])))

        run = run_flow(body)
        self.assertEqual(run.value, [2, 4], run.error)

    def test_arrows_follow_refs_and_their_values(self) -> None:
        @task
        def make() -> Any:
            return save("rows", ["a row"])

        @task
        def rows() -> Any:
            return [["a row"]]

        @task
        def use(given: Any) -> None: ...

        @flow
        def body() -> None:
            ref = make()
            use({**ref})
            use(load(ref))
            use(save("copy", rows()))

        run = run_flow(body)
        begun = [one for one in run.records if one["type"] == "task" and one["name"] == "use" and "upstream" in one]
        self.assertEqual([one["upstream"]["paths"] for one in begun], [["make"], ["make"], ["rows"]])

    def test_the_state_of_a_run_can_be_asked_in_a_flow_and_in_a_task(self) -> None:
        ids: list[str] = []

        def call(told: Any) -> Any:
            if told["kind"] == "get-run":
                return {"runId": told["runId"], "state": "failed", "cause": "timeout", "result": None}
            raise AssertionError(told)

        @task
        def ask(run_id: str) -> str:
            return get_run(run_id).state

        @flow
        def body() -> Any:
            return [list(get_run("r1")), ask("r2")]

        run = run_flow(body, call=call)
        self.assertEqual(run.value, [list(RunState("r1", "failed", "timeout")), "failed"], run.error)
        self.assertEqual(ids, [])

    def test_delays_grow_up_to_the_longest(self) -> None:
        delay = exponential(first="200ms", factor=3, most="1s")
        self.assertEqual([round(delay(tries, ValueError()), 3) for tries in (1, 2, 3, 2000)], [0.2, 0.6, 1, 1])
        self.assertIn("exponential: first", str(self.raised(lambda: exponential(first="soon"), InvalidDefinition)))

    def raised(self, work: Any, error: type[Exception]) -> Exception:
        with self.assertRaises(error) as found:
            work()
        return found.exception


if __name__ == "__main__":
    unittest.main()
