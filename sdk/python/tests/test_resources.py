"""Resources: opened once in an attempt, closed in reverse order however it ends, with the settings of a stage."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import tempfile
import threading
import unittest
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from towpath import InvalidDefinition, InvalidResource, flow, from_secret, resource, suspend, task
from towpath.test import run_flow


@dataclass
class Settings:
    url: str
    password: str
    pool: int = 4


class Opened(unittest.TestCase):
    def test_a_resource_is_opened_once_for_all_threads_and_closed_in_reverse_order(self) -> None:
        told: list[str] = []
        both = threading.Barrier(4, timeout=30)

        @resource
        def disk() -> Iterator[str]:
            told.append("open disk")
            yield "disk"
            told.append("close disk")

        @resource
        def data_base() -> Iterator[str]:
            told.append(f"open base on {disk.get()}")
            yield "base"
            told.append("close base")

        @task(concurrency=4)
        def read(x: int) -> str:
            both.wait()
            return f"{data_base.get()} {x}"

        @flow(on_completion=lambda result: told.append(f"hook {data_base.get()}"))
        def body() -> list[str]:
            return read.map(range(4)).results()

        run = run_flow(body)
        self.assertEqual(run.value, ["base 0", "base 1", "base 2", "base 3"])
        self.assertEqual(told, ["open disk", "open base on disk", "hook base", "close base", "close disk"])
        self.assertEqual(data_base.name, "data-base")
        told.clear()
        faked = run_flow(body, resources={data_base: "fake"})
        self.assertEqual(faked.value[0], "fake 0")
        self.assertEqual(told, ["hook fake"])

    def test_a_failed_opening_is_tried_again_and_a_failed_flow_closes_what_is_open(self) -> None:
        told: list[str] = []

        @resource
        def base() -> Iterator[int]:
            told.append("open")
            if len(told) == 1:
                raise ConnectionError("not yet")
            yield 1
            told.append("close")

        @task(retries=1)
        def read() -> int:
            return base.get()

        @flow
        def body() -> None:
            read()
            raise ValueError("after")

        run = run_flow(body)
        self.assertEqual((run.outcome, str(run.error)), ("failed", "after"))
        self.assertEqual(told, ["open", "open", "close"])

    def test_a_failed_closing_is_a_warning_and_the_others_are_closed(self) -> None:
        told: list[str] = []

        @resource
        def first() -> Iterator[int]:
            yield 1
            told.append("first")

        @resource
        def twice() -> Iterator[int]:
            yield 1
            yield 2

        @resource
        def failing() -> Iterator[int]:
            yield 1
            raise OSError("gone")

        @resource
        def empty() -> Iterator[int]:
            yield from ()

        @flow
        def body() -> str:
            first.get(), twice.get(), failing.get()
            try:
                empty.get()
            except InvalidDefinition as error:
                return str(error)
            return ""

        run = run_flow(body)
        self.assertEqual((run.outcome, told), ("completed", ["first"]))
        self.assertIn("yield it once", run.value)
        self.assertIn('Closing resource "failing" failed: gone', run.logs[0])
        self.assertIn('Closing resource "twice" failed: It yields more than once', run.logs[1])

    def test_a_suspended_run_closes_and_opens_again(self) -> None:
        told: list[str] = []

        @resource
        def base() -> Iterator[int]:
            told.append("open")
            yield 1
            told.append("close")

        @resource
        async def session() -> AsyncIterator[int]:
            told.append("open session")
            yield base.get() + 1
            told.append("close session")

        @flow
        def plain() -> bool:
            base.get()
            return bool(suspend.input("Go?", bool))

        @flow
        async def other() -> bool:
            await session.get()
            return bool(await suspend.input("Go?", bool))

        first = run_flow(plain)
        self.assertEqual((first.outcome, told), ("suspended", ["open", "close"]))
        self.assertEqual(first.resume(answers={"Go?": True}).value, True)
        self.assertEqual(told, ["open", "close"] * 2)
        told.clear()
        second = run_flow(other)
        once = ["open session", "open", "close session", "close"]
        self.assertEqual((second.outcome, sorted(told)), ("suspended", sorted(once)))
        self.assertEqual(second.resume(answers={"Go?": True}).outcome, "completed")
        self.assertEqual(sorted(told), sorted(once * 2))


class InLoop(unittest.TestCase):
    def test_an_async_resource_lives_in_the_loop_of_its_flow(self) -> None:
        told: list[Any] = []

        @resource
        async def session() -> AsyncIterator[Any]:
            loop = asyncio.get_running_loop()
            told.append("open")
            await asyncio.sleep(0)
            yield loop
            await asyncio.sleep(0)
            told.append(("close", loop is asyncio.get_running_loop()))

        @task
        async def read(x: int) -> int:
            await session.get()
            return x

        async def hook(_: object) -> None:
            told.append(("hook", (await session.get()) is asyncio.get_running_loop()))

        @flow(on_completion=hook)
        async def body() -> list[int]:
            return list(await asyncio.gather(read(1), read(2)))

        self.assertEqual(run_flow(body).value, [1, 2])
        # The hook has a loop of its own, after that of the flow.
        self.assertEqual(told, ["open", ("close", True), "open", ("hook", True), ("close", True)])

        @flow
        def plain() -> None:
            session.get()

        refused = run_flow(plain)
        self.assertIn('Resource "session" is an async def', str(refused.error))

    def test_a_closing_that_ignores_its_end_is_left(self) -> None:
        @resource(close_timeout=0.05)
        async def session() -> AsyncIterator[int]:
            yield 1
            await asyncio.Event().wait()

        @flow
        async def body() -> int:
            return await session.get()

        run = run_flow(body)
        self.assertEqual(run.value, 1)
        self.assertIn('Closing resource "session" failed: It took longer than 0.05 s.', run.logs[0])


class WithSettings(unittest.TestCase):
    def test_a_stage_replaces_settings_field_by_field(self) -> None:
        @resource(settings={"url": "memory://dev", "password": from_secret("db-password")})
        def warehouse(settings: Settings) -> Iterator[Settings]:
            yield settings

        @resource(settings={"a": {"b": 1}, "open": {}})
        def plain(settings: dict[str, Any]) -> Iterator[Any]:
            yield settings

        @flow
        def body() -> None:
            told.extend([warehouse.get(), plain.get()])

        told: list[Any] = []
        run = run_flow(body, secrets={"db-password": "s"})
        self.assertEqual(run.outcome, "completed", run.error)
        self.assertEqual(told, [Settings("memory://dev", "s"), {"a": {"b": 1}, "open": {}}])
        told.clear()
        with _stage({"warehouse": {"url": "memory://prod", "pool": 9}, "plain": {"open": {"x": 1}}}):
            os.environ["TOWPATH_SECRET_DB_PASSWORD"] = "t"
            try:
                body()
            finally:
                del os.environ["TOWPATH_SECRET_DB_PASSWORD"]
        self.assertEqual(told, [Settings("memory://prod", "t", 9), {"a": {"b": 1}, "open": {"x": 1}}])

    def test_wrong_settings_are_named(self) -> None:
        @resource(settings={"url": 7})
        def warehouse(settings: Settings) -> Iterator[Settings]:
            yield settings

        @resource(settings={"url": {"host": "h"}})
        def plain(settings: Any) -> Iterator[Any]:
            yield settings

        @flow
        def body(of: str) -> None:
            (warehouse if of == "warehouse" else plain).get()

        error = run_flow(body, {"of": "warehouse"}).error
        assert isinstance(error, InvalidResource)
        self.assertEqual([fault.path for fault in error.faults], ["settings.url", "settings.password"])
        with _stage({"plain": {"url": {"hots": "h"}}}), self.assertRaises(InvalidResource) as caught:
            body("plain")
        self.assertEqual(
            caught.exception.faults, (("settings.url.hots", 'unknown setting "hots"', 'Did you mean "host"?'),)
        )
        with _stage("no object"), self.assertRaisesRegex(InvalidDefinition, "towpath.stage.json does not contain"):
            body("plain")

    def test_wrong_declarations_are_refused(self) -> None:
        for refused, text in (
            (lambda: resource(lambda: 1), 'resource name "<lambda>"'),  # type: ignore[arg-type, return-value]
            (lambda: resource(name="x")(lambda: 1), "yields its value once"),  # type: ignore[arg-type, return-value]
            (lambda: resource(name="x", settings={"a": 1})(_no_settings), "takes none"),
            (lambda: resource(close_timeout="soon")(_no_settings), "close_timeout"),
        ):
            with self.assertRaisesRegex(InvalidDefinition, text):
                refused()


def _no_settings() -> Iterator[int]:
    yield 1


@contextlib.contextmanager
def _stage(resources: Any) -> Iterator[None]:
    """A stage file in a current folder of its own, and no output."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        with open(os.path.join(folder, "towpath.stage.json"), "w") as file:
            json.dump({"stage": "prod", "resources": resources, "pools": {}}, file)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
