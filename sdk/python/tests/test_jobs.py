"""External jobs: submitted once, polled, cancelled, found again after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
import unittest
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from towpath import InvalidDefinition, Job, JobFailed, JobStatus, NonRetryable, flow, resource, suspend, task
from towpath._internal.jobs.await_job import brought_back
from towpath._internal.problem import GatewayRefused
from towpath.test import EXPIRED, run_flow

SUBMITTED: list[tuple[str, Any]] = []
STATES: list[JobStatus] = []


@resource
def cluster() -> Any:
    yield SUBMITTED


def submit(key: str, day: str) -> dict[str, str]:
    cluster.get().append((key, day))
    return {"id": key}


def poll(handle: dict[str, str]) -> JobStatus:
    assert handle["id"] == SUBMITTED[-1][0]
    return STATES.pop(0) if STATES else JobStatus("completed", {"table": SUBMITTED[-1][1]})


@dataclass
class Table:
    table: str


features = Job("tables", submit=submit, poll=poll, returns=Table)


async def submit_later(key: str, x: int) -> int:
    await asyncio.sleep(0)
    SUBMITTED.append((key, x))
    return x


async def poll_later(handle: int) -> JobStatus:
    await asyncio.sleep(0)
    return JobStatus("completed", handle * 10)


later = Job("later", submit=submit_later, poll=poll_later)


@task
def fit(table: str) -> str:
    return f"fit {table}"


@flow
def train(day: str) -> str:
    return fit(suspend.job(features, day).table)


class Jobs(unittest.TestCase):
    def setUp(self) -> None:
        SUBMITTED.clear()
        STATES.clear()

    def test_a_job_is_submitted_once_and_polled_after_the_suspension(self) -> None:
        STATES.extend([JobStatus("running"), JobStatus("running", says="PENDING")])
        first = run_flow(train, {"day": "monday"})
        self.assertEqual((first.outcome, len(SUBMITTED)), ("suspended", 1), first.error)
        second = first.resume()
        self.assertEqual((second.value, len(SUBMITTED)), ("fit monday", 1), second.error)
        self.assertEqual(
            [(one.name, one.state) for one in second.tasks], [("tables", "completed"), ("fit", "completed")]
        )
        self.assertTrue(second.tasks[0].path.startswith("wait:job:tables "))
        # A rerun reuses the result of a completed job.
        again = second.rerun()
        self.assertEqual((again.value, again.executions, len(SUBMITTED)), ("fit monday", {}, 1))
        self.assertEqual(run_flow(train, {"day": "x"}).resume(answers={"tables": {"table": "t"}}).value, "fit t")
        wrong = run_flow(train, {"day": "x"}).resume(answers={"tables": {"tabel": "t"}})
        self.assertIn('result.tabel: is not a field; did you mean "table"?', str(wrong.error))

    def test_a_failed_job_is_an_error_that_a_later_attempt_repeats_if_it_was_caught(self) -> None:
        @flow
        def body() -> list[str]:
            told = []
            try:
                suspend.job(features, "a")
            except JobFailed as error:
                told.append(str(error))
            return [*told, str(suspend.input("Go on?", bool))]

        first = run_flow(body)
        STATES.append(JobStatus("failed", error="no rows"))
        second = first.resume()
        self.assertEqual(second.outcome, "suspended")
        third = second.resume(answers={"Go on?": True})
        self.assertEqual(third.value, ['Job "tables" has failed: no rows', "True"])
        self.assertEqual(len(SUBMITTED), 1)

        def gone(handle: Any) -> JobStatus:
            raise NonRetryable("its handle is gone")

        given_up = Job("given-up", submit=submit, poll=gone)

        @flow
        def other() -> None:
            suspend.job(given_up, "a", deadline="1h")

        self.assertIn("its handle is gone", str(run_flow(other).resume().error))
        expired = run_flow(other).resume(answers={"given-up": EXPIRED})
        self.assertEqual(type(expired.error).__name__, "WaitExpired")

    def test_a_job_that_may_have_been_submitted_is_looked_for(self) -> None:
        asked: list[str] = []

        def dies(key: str, input: Any) -> str:
            SUBMITTED.append((key, input))
            if len(SUBMITTED) == 1:
                raise KeyboardInterrupt
            return key

        def find(key: str) -> Any:
            asked.append(key)
            return key if asked[1:] else None

        for options, outcome, submitted in (
            ({}, "failed", 1),
            ({"idempotent": True}, "completed", 2),
            ({"find": find}, "completed", 2),
            ({"find": find}, "completed", 1),
        ):
            SUBMITTED.clear()
            job = Job("dying", submit=dies, poll=lambda handle: JobStatus("completed", handle), **options)

            @flow
            def body(job: Any = job) -> None:
                suspend.job(job, 1)

            first = run_flow(body)
            self.assertEqual(type(first.error), KeyboardInterrupt)
            second = first.resume()
            self.assertEqual((second.outcome, len(SUBMITTED)), (outcome, submitted), second.error)
            if outcome == "failed":
                self.assertIn("unknown whether", str(second.error))

    def test_functions_may_be_async_and_flows_may_wait_for_several_jobs(self) -> None:
        @flow
        async def several() -> list[Any]:
            return list(await asyncio.gather(suspend.job(later, 1), suspend.job(later, 2), suspend.job(features, "b")))

        @flow
        def plain() -> int:
            return int(suspend.job(later, 3))

        first = run_flow(several)
        self.assertEqual((first.outcome, len(first.waits), len(SUBMITTED)), ("suspended", 3, 3), first.error)
        SUBMITTED.sort(key=lambda one: str(one[1]) == "b")
        self.assertEqual(first.resume().value, [10, 20, Table("b")])
        self.assertEqual(run_flow(plain).resume().value, 30)

    def test_a_callback_leads_to_the_control_plane(self) -> None:
        urls: list[str] = []

        def notified(key: str, input: Any, *, callback_url: str) -> str:
            urls.append(callback_url)
            return key

        called = Job("called", submit=notified, callback=True)

        @flow
        def body() -> Any:
            return suspend.job(called, 1)

        # In a test there is no control plane.
        self.assertIn("no control plane", str(run_flow(body).error))
        self.assertEqual(urls, [])

    def test_a_job_without_a_callback_takes_no_value_that_nobody_has_signed(self) -> None:
        polled = Job("only-polled", submit=submit, poll=poll)
        notified = Job("also-notified", submit=submit, poll=poll, callback=True)
        with self.assertRaisesRegex(GatewayRefused, 'a callback ended job "only-polled" with a result'):
            brought_back(polled, {"outcome": "completed", "result": None, "value": "of a liar"})
        self.assertIsNone(brought_back(polled, {"outcome": "completed", "result": None}))
        self.assertIsNone(brought_back(polled, {"outcome": "completed", "result": None, "value": None}))
        self.assertEqual(brought_back(notified, {"outcome": "completed", "result": None, "value": 7}), 7)

    def test_a_job_on_the_terminal_is_polled_in_this_process(self) -> None:
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            os.chdir(folder)
            try:
                self.assertEqual(train("friday"), "fit friday")
            finally:
                os.chdir(before)

    def test_wrong_jobs_are_refused(self) -> None:
        for options, text in (
            ({"name": "No", "submit": submit, "poll": poll}, "job name"),
            ({"name": "a", "submit": None, "poll": poll}, "submit must be a function"),
            ({"name": "a", "submit": submit}, "give it poll"),
            ({"name": "a", "submit": submit, "poll": poll, "poll_every": 0.5}, "a second or more"),
        ):
            with self.assertRaisesRegex(InvalidDefinition, text):
                Job(**options)  # type: ignore[arg-type]

        @task
        def inside() -> None:
            suspend.job(features, "a")

        @flow
        def body() -> None:
            inside()

        self.assertIn("suspend.job was called in the task run inside", str(run_flow(body).error))


class Asked(unittest.TestCase):
    """The process that polls and cancels jobs for a worker."""

    def _tend(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        from towpath._internal.jobs.tend import Tender

        with tempfile.TemporaryDirectory() as folder:
            ground = {
                "workspaceId": "w",
                "deployment": "d",
                "version": 1,
                "secrets": {"token": "t"},
                "store": {"root": f"file://{folder}"},
            }
            tender = Tender(ground)
            handle = told.pop("handle")
            ref = None if handle is None else tender.keep(handle)
            answer = dict(tender.answer({"key": "k", "runId": "r", "handle": ref, **told}))
            if answer.get("result") is not None:
                answer["result"] = tender.load(answer["result"])
            return answer

    def test_polls_and_cancels(self) -> None:
        from towpath import secret

        cancelled: list[Any] = []

        def asked(handle: str) -> JobStatus:
            if handle == "broken":
                raise ConnectionError("no answer")
            if handle == "running":
                return JobStatus("running", says=f"PENDING {secret('token')}")
            return JobStatus("failed") if handle == "failed" else JobStatus("completed", [handle, len(cluster.get())])

        async def cancel(handle: str) -> None:
            await asyncio.sleep(0)
            cancelled.append(handle)

        Job("tended", submit=submit, poll=asked, cancel=cancel, find=lambda key: f"found {key}")
        Job("left", submit=submit, poll=asked)
        SUBMITTED.clear()
        for told, answer in (
            ({"kind": "poll", "job": "tended", "handle": "done"}, {"kind": "completed", "result": ["done", 0]}),
            ({"kind": "poll", "job": "tended", "handle": "running"}, {"kind": "running", "says": "PENDING t"}),
            (
                {"kind": "poll", "job": "tended", "handle": "failed"},
                {
                    "kind": "failed",
                    "error": {"name": "JobFailed", "message": "Its backend reported a failure without a reason."},
                },
            ),
            (
                {"kind": "poll", "job": "tended", "handle": "broken"},
                {"kind": "stumbled", "detail": "ConnectionError: no answer"},
            ),
            (
                {"kind": "poll", "job": "tended", "handle": None},
                {"kind": "stumbled", "detail": "Its handle is not known."},
            ),
            ({"kind": "cancel", "job": "tended", "handle": "h"}, {"kind": "cancelled"}),
            ({"kind": "cancel", "job": "tended", "handle": None}, {"kind": "cancelled"}),
            ({"kind": "cancel", "job": "left", "handle": "h"}, {"kind": "left", "detail": "It has no cancel."}),
            (
                {"kind": "poll", "job": "nobody", "handle": "h"},
                {"kind": "stumbled", "detail": 'No module that the flow imports declares a job "nobody" at its top.'},
            ),
        ):
            with self.subTest(told=told):
                self.assertEqual(self._tend(dict(told)), answer)
        self.assertEqual(cancelled, ["h", "found k"])
