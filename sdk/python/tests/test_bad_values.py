"""Calls outside of a run, and values that JSON does not have: each is refused with its place and the next step."""

from __future__ import annotations

import math
import unittest
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from towpath import (
    Job,
    JobStatus,
    TowpathError,
    artifact,
    flow,
    is_cancelled,
    keep,
    kept,
    log,
    now,
    random,
    resource,
    run_child,
    run_facts,
    secret,
    start_run,
    suspend,
    task,
    uuid,
    with_setup,
)
from towpath._internal.engine.run_main import parameters_from
from towpath._internal.problem import InvalidParameters, OutsideOfRun
from towpath.test import TestedRun, run_flow


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def fetch(a: int) -> int:
    return a


@task
def same(value: Any) -> Any:
    return value


@resource
def warehouse() -> Any:
    yield 1


job: Job[Any, Any, Any] = Job(
    "bad-values", submit=lambda _key, _input: "handle", poll=lambda _: JobStatus("completed", 1)
)

IN_FLOW = "was used outside of a running flow. Use it inside a flow's function."
IN_TASK = "was used outside of a running flow. Use it inside a flow's function or task."
PLAIN = (
    "was used outside of a running flow. Call it inside a flow's function; in a unit test call its plain function, "
    "task.fn(...)."
)


def cycle() -> list[Any]:
    made: list[Any] = [1]
    made.append({"again": made})
    return made


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(100_000):
        made = [made]
    return made


def played(body: Callable[..., Any], parameters: dict[str, Any] | None = None) -> TestedRun:
    return run_flow(flow(name="body")(body), parameters, children={"other": 1})


class OutsideOfARun(unittest.TestCase):
    def test_each_call_says_where_it_belongs(self) -> None:
        calls: list[tuple[Callable[[], Any], str]] = [
            (lambda: add(1), f'Task "add" {PLAIN}'),
            (lambda: add.submit(1), f'Task "add" {PLAIN}'),
            (lambda: add.map([1]), f'Task "add" {PLAIN}'),
            (lambda: add.aio(1), f'Task "add" {PLAIN}'),
            (lambda: add.with_options(key="k")(1), f'Task "add" {PLAIN}'),
            (lambda: fetch(1), f'Task "fetch" {PLAIN}'),
            (lambda: fetch.submit(1), f'Task "fetch" {PLAIN}'),
            (lambda: fetch.map([1]), f'Task "fetch" {PLAIN}'),
            (lambda: suspend.sleep("1d"), f"suspend.sleep {IN_FLOW}"),
            (lambda: suspend.until(datetime.now(timezone.utc)), f"suspend.until {IN_FLOW}"),
            (lambda: suspend.input("Publish?", bool), f"suspend.input {IN_FLOW}"),
            (lambda: suspend.event("arrived"), f"suspend.event {IN_FLOW}"),
            (lambda: suspend.run("id"), f"suspend.run {IN_FLOW}"),
            (lambda: suspend.job(job), f"suspend.job {IN_FLOW}"),
            (lambda: secret("token"), f"secret() {IN_FLOW}"),
            (lambda: keep("step", 1), f"keep() {IN_FLOW}"),
            (lambda: kept("step"), f"kept() {IN_FLOW}"),
            (now, f"now() {IN_TASK}"),
            (random, f"random() {IN_TASK}"),
            (uuid, f"uuid() {IN_TASK}"),
            (is_cancelled, f"is_cancelled() {IN_FLOW}"),
            (run_facts, f"run_facts() {IN_FLOW}"),
            (lambda: artifact.markdown("key", "text"), f"artifact {IN_TASK}"),
            (lambda: start_run("other"), f"start_run() {IN_FLOW}"),
            (lambda: run_child("other"), f"run_child() {IN_FLOW}"),
            (warehouse.get, f'Resource "warehouse" {IN_FLOW}'),
            (lambda: with_setup(lambda: 1, lambda _: None).__enter__(), f"with_setup {IN_FLOW}"),
        ]
        for call, message in calls:
            with self.subTest(message), self.assertRaises(OutsideOfRun) as raised:
                call()
            self.assertEqual(str(raised.exception), message)
            self.assertEqual(raised.exception.code, "outside-of-run")

    def test_a_plain_function_and_a_log_line_work(self) -> None:
        self.assertEqual(add.fn(1), 2)
        log.info("no run is needed")


class NotFinite(unittest.TestCase):
    numbers = (math.nan, math.inf, -math.inf)

    def test_they_are_arguments_results_and_progress_like_other_numbers(self) -> None:
        calls: list[float] = []

        @task(cache=True)
        def cached(value: float) -> float:
            calls.append(value)
            return value

        for number in self.numbers:
            calls.clear()

            def body() -> list[Any]:
                keep("progress", [number])
                return [same(number), *same.map([number, {"a": number}]).results(), cached(number), kept("progress")]

            run = played(body)
            self.assertEqual(run.outcome, "completed", run.error)
            again = run.rerun()
            self.assertEqual(again.executions, {}, "equal numbers have equal hashes")
            self.assertEqual(repr(again.value), repr(run.value))
            self.assertEqual(len(calls), 1)

    def test_parameters_are_json_so_none_has_them(self) -> None:
        def body(rate: float, rows: list[Any]) -> None: ...

        for number in self.numbers:
            run = played(body, {"rate": number, "rows": [1, {"price": number}]})
            self.assertIsInstance(run.error, InvalidParameters)
            self.assertEqual(
                str(run.error),
                'The parameters of flow "body" are not valid:'
                f"\n  rate: must be a finite number, but is {number}; pass null for none"
                f"\n  rows[1].price: must be a finite number, but is {number}; pass null for none",
            )
        made = flow(name="body")(body)
        for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
            with self.subTest(text):
                # Text, which the flow's parameters then refuse.
                self.assertEqual(
                    parameters_from(made, [f"rate={text}", f"rows=[{text}]"]), {"rate": text, "rows": f"[{text}]"}
                )

    def test_neither_have_those_of_child_runs(self) -> None:
        for number in self.numbers:
            for start in (start_run, run_child):
                run = played(lambda: start("other", {"rows": [{"price": number}]}))
                self.assertEqual(
                    str(run.error),
                    f"parameters.rows[0].price is {number}, which cannot be stored. JSON has no such number: pass None.",
                )


class InsideItself(unittest.TestCase):
    """A list that contains itself, and a list that is nested too deeply."""

    def refused(self, body: Callable[[], Any]) -> str:
        run = played(body)
        self.assertIsInstance(run.error, TowpathError)
        return str(run.error)

    def test_an_argument_is_named_with_the_call_to_write(self) -> None:
        next = "Pass plain data, or give the call a key: same.with_options(key=...)(...)."
        compared = "which cannot be compared with another call's."
        told = self.refused(lambda: same(cycle()))
        self.assertEqual(
            told, f'Task "same": argument "value", field "[1].again" is part of a cycle, {compared} {next}'
        )
        told = self.refused(lambda: same(deep()))
        self.assertRegex(
            told, rf'^Task "same": argument "value", field "(\[0\])+" is nested more than 64 deep, {compared}'
        )
        told = self.refused(lambda: same.map(cycle()).results())
        self.assertRegex(told, r'^Task "same": argument "items", field ".*" is part of a cycle, .* name each item: ')
        told = self.refused(lambda: suspend.job(job, cycle()))
        self.assertRegex(
            told, r'^Job "bad-values": argument 1, field "\[1\]\.again" is part of a cycle, .*key=\.\.\.\)\.$'
        )
        for made in (cycle(), deep()):
            self.assertEqual(played(lambda: len(same.with_options(key="k")(made))).outcome, "completed", "a key")

    def test_a_result_is_not_stored_and_the_run_goes_on(self) -> None:
        for make, what in ((cycle, r"is part of a cycle"), (deep, r"is nested (too deeply|more than 200 deep)")):
            result = task(name="make")(make)
            run = played(lambda: len(result()))
            self.assertEqual(run.outcome, "completed", run.error)
            self.assertRegex(
                run.logs[0],
                rf'^The result of task "make" is not stored, so a later attempt runs it again: result\S* {what}, which '
                r'cannot be stored\. Return plain data, or deploy the flow with codecs=\["pickle"\]',
            )
            required = self.refused(lambda: task(name="make", checkpoint=True)(make)())
            self.assertRegex(required, rf"^result\S* {what}, which cannot be stored\. Return plain data")
            run = played(make)
            self.assertEqual(run.outcome, "completed", run.error)
            self.assertRegex(run.logs[0], rf"^The result of the flow is not stored: result\S* {what}, ")

    def test_progress_and_parameters_of_child_runs_name_the_part(self) -> None:
        self.assertEqual(
            self.refused(lambda: keep("step", cycle())),
            "keep step[1].again is part of a cycle, which cannot be stored.",
        )
        self.assertRegex(
            self.refused(lambda: keep("step", deep())), r"^keep step\S* is nested (too deeply|more than 200)"
        )
        for start in (start_run, run_child):
            self.assertEqual(
                self.refused(lambda: start("other", {"rows": cycle()})),
                "parameters.rows[1].again is part of a cycle, which cannot be stored. Pass plain data.",
            )
            self.assertRegex(
                self.refused(lambda: start("other", {"rows": deep()})),
                r"is nested more than 64 deep, .* Pass plain data\.$",
            )

    def test_log_lines_and_artifacts_show_something(self) -> None:
        def body() -> None:
            log.info("rows", cycle(), deep())
            artifact.table("rows", [[cycle(), deep()]], columns=["cycle", "deep"])

        run = played(body)
        self.assertEqual(run.outcome, "completed", run.error)
