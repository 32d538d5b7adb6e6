"""Which calls returned the values that a call received."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
import threading
import unittest
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from towpath import Job, JobStatus, NonRetryable, flow, suspend, task
from towpath._internal.task.known_values import KnownValues, content_of
from towpath._internal.task.lineage import Lineage, Producer, upstream_fact
from towpath.test import TestedRun, run_flow


@dataclasses.dataclass
class Row:
    id: int
    tags: list[str]


@dataclasses.dataclass
class Slotted:
    __slots__ = ("rows",)
    rows: list[Any]


class Pair(NamedTuple):
    first: Any
    second: Any


class Color(Enum):
    RED = 1


@task
def load(count: int) -> list[dict[str, Any]]:
    return [{"id": at, "tags": ["a"]} for at in range(count)]


@task
def use(*_: Any) -> None:
    pass


@task
def one(row: Any) -> dict[str, Any]:
    return {"row": row}


@task
def two(_: Any, __: Any = None) -> int:
    return 1


def arrows_in(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each call with the calls that it received data from, as `load → clean`, without the hashes of inputs."""
    found = [
        f"{path} → {record['path']}"
        for record in records
        if record["type"] == "task"
        for path in record.get("upstream", {}).get("paths", ())
    ]
    return sorted(re.sub(r":[0-9a-f]{16}", "", arrow) for arrow in found)


def arrows(body: Callable[[], Any]) -> list[str]:
    run = run_flow(flow(name="body")(body))
    if run.error is not None:
        raise run.error
    return arrows_in(run.records)


class Received(unittest.TestCase):
    def test_the_object_itself(self) -> None:
        self.assertEqual(arrows(lambda: use(load(2))), ["load → use"])
        self.assertEqual(arrows(lambda: use.submit(load.submit(2).result()).result()), ["load → use"])

    def test_an_object_around_it_or_an_object_inside_it(self) -> None:
        for body in (
            lambda: use(load(2)[1]),
            lambda: use(load(2)[1]["tags"]),
            lambda: use({"of": [Pair(1, (load(2),))]}),
            lambda: use(Row(1, load(2))),
            lambda: use([row for row in load(4) if row["id"] % 2]),
        ):
            self.assertEqual(arrows(body), ["load → use"])

    def test_values_of_any_class(self) -> None:
        class Model:
            pass

        class Small:
            __slots__ = ("a",)

        for made in (
            datetime(2026, 1, 1),
            Decimal("1.5"),
            b"bytes",
            bytearray(3),
            (1, 2),
            {1, 2},
            frozenset({3}),
            Model(),
            Row(1, []),
            Slotted([1.5, "a long text"]),
            Pair(None, {}),
            [],
            {},
            [1, 2, 3],
            [float(at) for at in range(100_000)],
            {f"key {at}": f"text {at}" for at in range(5_000)},
            [[0.5] * 5_000, "the text of a row"],
        ):
            with self.subTest(type(made).__name__):
                self.assertEqual(self.arrows_of(made), ["make → use:k"])
        self.assertEqual(self.arrows_of(Small()), [], "nothing identifies it")

    def arrows_of(self, made: Any) -> list[str]:
        make = task(name="make", checkpoint=False)(lambda: made)
        return arrows(lambda: use.with_options(key="k", checkpoint=False)(1, [make()]))

    def test_the_object_that_it_had_received_so_the_later_call_counts(self) -> None:
        @task
        def turned(rows: list[Any]) -> list[Any]:
            rows.reverse()
            return rows

        @task
        def good(rows: list[Any]) -> list[Any]:
            return [row for row in rows if row["id"] > 0]

        self.assertEqual(arrows(lambda: use(turned(load(2)))), ["load → turned", "turned → use"])
        self.assertEqual(arrows(lambda: use(good(load(2))[0])), ["good → use", "load → good"])

    def test_the_results_of_the_calls_inside_it(self) -> None:
        @task
        def outer() -> Any:
            return load(2)

        @task
        def inside(rows: Any) -> None:
            use(rows)

        self.assertEqual(arrows(lambda: use(outer())), ["outer → use"])
        self.assertEqual(arrows(lambda: inside(load(2))), ["load → inside", "load → inside/use"])

    def test_in_a_flow_or_an_external_job(self) -> None:
        @flow
        def inner(rows: list[Any]) -> dict[str, Any]:
            return {"rows": rows}

        self.assertEqual(arrows(lambda: use(inner(load(2)))), ["flow:inner → use", "load → flow:inner"])
        train: Job[Any, Any, Any] = Job(
            name="lineage-train",
            submit=lambda _key, _input: "handle",
            poll=lambda _handle: JobStatus("completed", result={"weight": 1}),
        )
        run = run_flow(flow(name="body")(lambda: use(suspend.job(train, load(2)))))
        if run.outcome == "suspended":
            run = run.resume()
        self.assertEqual(run.outcome, "completed", run.error)
        named = [re.sub(r"wait:job:\S+ ?\S*(?= →|$)", "job", arrow) for arrow in arrows_in(run.records)]
        self.assertEqual(named, ["load → job", "job → use"])

    def test_of_async_tasks(self) -> None:
        @task
        async def get(count: int) -> list[dict[str, int]]:
            await asyncio.sleep(0)
            return [{"id": at} for at in range(count)]

        @task
        async def each(row: Any) -> dict[str, Any]:
            return {"row": row}

        @task
        async def last(*_: Any) -> None: ...

        async def body() -> None:
            rows = await get(2)
            await last(await get.submit(1))
            await last(1, await each.map(rows))

        self.assertEqual(arrows(body), ["each → last", "get → each/0", "get → each/1", "get → last"])


class Maps(unittest.TestCase):
    def test_received_its_items_from_a_call_and_its_results_are_from_the_map(self) -> None:
        both = ["load → one/0", "load → one/1"]
        self.assertEqual(arrows(lambda: use(one.map(load(2)).results())), [*both, "one → use"])
        texts = task(name="texts")(lambda: ["a", "b"])
        self.assertEqual(arrows(lambda: one.map(texts()).results()), ["texts → one/0", "texts → one/1"])

    def test_of_the_results_of_a_map_has_an_arrow_from_each_of_its_calls(self) -> None:
        first = ["load → one/0", "load → one/1"]
        second = ["one/0 → two/0", "one/1 → two/1"]
        self.assertEqual(arrows(lambda: two.map(one.map(load(2)).results()).results()), [*first, *second])
        self.assertEqual(arrows(lambda: two.map(one.map(load(2))).results()), [*first, *second])
        for take in ("results", "settled"):
            self.assertEqual(
                arrows(lambda take=take: use.with_options(key="k")(getattr(two.map([1, 2]), take)())), ["two → use:k"]
            )
        self.assertEqual(arrows(lambda: use(one.map([1, 2]).results()[1])), ["one/1 → use"])

    def test_over_a_map_that_still_runs_or_with_arguments_of_its_own(self) -> None:
        running = lambda: two.map(two.with_options(key="first").map([1])).results()  # noqa: E731
        self.assertEqual(arrows(running), ["two:first → two/0"])
        self.assertEqual(arrows(lambda: two.map([1], load(1)).results()), ["load → two/0"])


class NotReceived(unittest.TestCase):
    def test_by_an_equal_value_a_text_a_number_or_a_constant(self) -> None:
        name = task(name="name")(lambda: "the same long text")
        color = task(name="color", checkpoint=False)(lambda: {"color": Color.RED, "none": ()})

        def body() -> None:
            for _ in range(50):
                load(1)
                use(name(), len(load(2)), [{"id": 0, "tags": ["a"]}])
            color()
            use.with_options(key="k")(Color.RED, ())

        self.assertEqual(arrows(body), [])

    def test_by_an_object_that_two_calls_returned_independently(self) -> None:
        none: list[int] = []
        a = task(name="a")(lambda: none)
        b = task(name="b")(lambda: {"none": none})
        self.assertEqual(arrows(lambda: use([a(), b()["none"]])), [])
        self.assertEqual(arrows(lambda: use(b())), ["b → use"])

    def test_by_code_of_the_author_since_none_runs(self) -> None:
        def run(*_: Any) -> Any:
            raise AssertionError("must not run")

        hostile = type("Hostile", (), {"__getattribute__": run, "__eq__": run, "__hash__": run, "__iter__": run})
        listed = type("Listed", (list,), {"__iter__": run, "__len__": run, "__getitem__": run})
        make = task(name="make", checkpoint=False)(lambda: [hostile(), listed([hostile()])])
        keyed = use.with_options(key="k", checkpoint=False)
        self.assertEqual(arrows(lambda: keyed(make())), ["make → use:k"])
        self.assertEqual(arrows(lambda: keyed(make()[1])), ["make → use:k"])
        self.assertEqual(arrows(lambda: keyed([make()[0]])), ["make → use:k"])


class Again(unittest.TestCase):
    def test_a_resumed_run_and_a_rerun_have_the_arrows_of_the_first_attempt(self) -> None:
        broken = [True]
        clean = task(name="clean")(lambda rows: [row for row in rows if row["id"] > 0])
        each = task(name="each")(lambda row: {"of": row["id"]})

        @task
        def last(*_: Any) -> None:
            if broken[0]:
                raise NonRetryable("not yet")

        @flow
        def body() -> None:
            rows = clean(load(3))
            mapped = each.map(rows).results()
            use(rows[0], mapped[1])
            last({"rows": rows, "all": mapped})

        first = run_flow(body)
        self.assertEqual(first.outcome, "failed")
        expected = [
            "clean → each/0",
            "clean → each/1",
            "clean → last",
            "clean → use",
            "each → last",
            "each/1 → use",
            "load → clean",
        ]
        self.assertEqual(arrows_in(first.records), expected)
        broken[0] = False
        second = first.resume()
        self.assertEqual(second.outcome, "completed")

        def to_last(run: TestedRun) -> list[str]:
            return [arrow for arrow in arrows_in(run.records) if arrow.endswith("last")]

        self.assertEqual(to_last(second), to_last(first))
        self.assertEqual(arrows_in(second.rerun().records), expected)


class AnyFlow(unittest.TestCase):
    def test_a_call_has_arrows_from_exactly_the_calls_whose_objects_it_received(self) -> None:
        @task
        def make(at: int, kind: str, *_: Any) -> Any:
            return "text" if kind == "text" else [at] if kind == "list" else {"same": {"always": "equal"}}

        for seed in range(40):
            chance = random.Random(seed)
            expected: list[str] = []

            def body(chance: random.Random = chance, expected: list[str] = expected) -> None:
                values: list[Any] = []
                kinds: list[str] = []
                for at in range(chance.randint(1, 12)):
                    kind = chance.choice(["object", "list", "text"])
                    chosen = sorted({chance.randrange(at) for _ in range(chance.randint(0, 3))}) if at else []
                    taken = [{"held": [values[index]]} if chance.random() < 0.5 else values[index] for index in chosen]
                    expected.extend(f"make:{index} → make:{at}" for index in chosen if kinds[index] != "text")
                    values.append(make.with_options(key=str(at))(at, kind, *taken))
                    kinds.append(kind)
                    # An object that is gone leaves its address to another one.
                    gone = chance.randrange(at + 1)
                    values[gone], kinds[gone] = "gone", "text"

            found = arrows(body)
            self.assertEqual(found, sorted(expected), seed)


class Bounds(unittest.TestCase):
    producer = Producer("a")

    def noted(self, value: Any) -> Lineage:
        lineage = Lineage()
        lineage.note(value, self.producer, ())
        return lineage

    def test_the_first_thousand_values_are_searched_level_by_level(self) -> None:
        rows = [{"id": at} for at in range(2_000)]
        lineage = self.noted(rows)
        self.assertEqual(lineage.of([rows]), (self.producer,))
        self.assertEqual(lineage.of([rows[900]]), (self.producer,))
        self.assertEqual(lineage.of([rows[1_999]]), ())
        self.assertEqual(lineage.of([[*range(2_000), rows]]), ())
        cycle: list[Any] = []
        cycle.append(cycle)
        self.assertEqual(lineage.of([cycle]), ())
        lineage.note(cycle, self.producer, ())
        self.assertEqual(lineage.of([cycle]), (self.producer,))

    def test_a_list_of_producers_has_at_most_twenty_paths_of_each_task_some_and_says_that_there_are_more(self) -> None:
        def many(name: str, count: int) -> tuple[Producer, ...]:
            return tuple(Producer(f"{name}:{at}") for at in range(count))

        self.assertEqual(upstream_fact(()), {})
        self.assertEqual(upstream_fact((self.producer, Producer("a"))), {"upstream": {"paths": ["a"]}})
        self.assertNotIn("more", upstream_fact(many("load", 20))["upstream"])
        told = upstream_fact((*many("load", 200), *many("clean", 2)))["upstream"]
        self.assertEqual(len(told["paths"]), 20)
        self.assertEqual(told["paths"][:4], ["load:0", "clean:0", "load:1", "clean:1"])
        self.assertTrue(told["more"])
        long = upstream_fact(tuple(Producer("x" * 1_000 + str(at)) for at in range(10)))["upstream"]
        self.assertEqual((len(long["paths"]), long["more"]), (4, True))

    def test_results_are_not_kept_in_memory(self) -> None:
        class Model:
            pass

        model = Model()
        gone = weakref.ref(model)
        lineage = self.noted({"model": model, "rows": [0.5] * 100_000})
        del model
        self.assertIsNone(gone())
        # Small data is let go by later calls: here all of it, with what was in it.
        ends: list[Any] = []
        holder = {"small": [1, 2]}
        lineage.note(holder, self.producer, ())
        holder["late"] = Model()
        weakref.finalize(holder["late"], ends.append, True)
        del holder
        for _ in range(3):
            lineage.of([[]])
        self.assertEqual(ends, [True])

    def test_small_data_that_grows_is_let_go(self) -> None:
        known: KnownValues[int] = KnownValues()
        grown: list[Any] = []
        known.set(grown, 1)
        self.assertEqual(known.get(grown), 1)
        grown.extend(range(10_000))
        known.sweep()
        self.assertEqual(len(known), 0)

    def test_a_million_results_need_little_memory(self) -> None:
        known: KnownValues[int] = KnownValues()
        kept = []
        for at in range(30_000):
            kept.append({"at": at, "text": f"number {at}"})
            known.set(kept[-1], at)
            known.sweep()
        self.assertLessEqual(len(known), 10_000)
        self.assertEqual(known.get(kept[-1]), 29_999)
        first = len(known)
        kept.clear()
        for _ in range(first):
            known.sweep()
        self.assertEqual(len(known), 0)

    def test_a_collection_that_another_thread_changes_is_searched_as_far_as_possible(self) -> None:
        data: dict[int, Any] = {}
        is_over = threading.Event()

        def change() -> None:
            at = 0
            while not is_over.is_set():
                data[at % 100] = at
                data.pop((at * 7) % 100, None)
                at += 1

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(2_000):
                self.assertLessEqual(len(content_of(data)), 100)
        finally:
            is_over.set()
            thread.join()
