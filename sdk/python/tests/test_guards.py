"""Guards that nothing else would replace. `test/chaos/python-mutations.ts` takes each out: a test here must fail then."""

from __future__ import annotations

import asyncio
import os
import pickle
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from towpath import Cancelled, flow, task
from towpath._internal.engine import interrupt
from towpath._internal.engine.cancel import Cancel
from towpath._internal.engine.interrupt import in_author_code
from towpath._internal.problem import StoreFault, TaskIdentityUnknown
from towpath._internal.store.codec import decode, encode
from towpath._internal.store.file_store import FileStore
from towpath._internal.store.parquet_limits import DECODED_BYTES_MAX, ParquetFault, check_size, limit_of
from towpath._internal.store.places import Place
from towpath.test import run_flow


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.path,))


class Values(unittest.TestCase):
    def test_a_value_whose_bytes_were_changed_is_not_used(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ref = FileStore(Path(folder).as_uri()).save(Place("run", 1, "load", "result"), encode([1, 2, 3], "result"))
            (pack,) = Path(folder).rglob("*.pack")
            self.assertEqual(FileStore(Path(folder).as_uri()).load(ref), [1, 2, 3])
            pack.write_bytes(pack.read_bytes().replace(b"3", b"4"))
            with self.assertRaisesRegex(StoreFault, "is not the saved one"):
                FileStore(Path(folder).as_uri()).load(ref)

    def test_nothing_but_the_result_of_a_task_is_unpickled(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder, "made")
            with self.assertRaisesRegex(StoreFault, "read only as the result of its own task"):
                decode(pickle.dumps(Bomb(str(made))), codec="pickle", uri="memory:x")
            self.assertFalse(made.exists())

    def test_a_small_file_that_becomes_a_huge_table_is_refused(self) -> None:
        check_size(DECODED_BYTES_MAX, b"PAR1")
        self.assertEqual(limit_of(b"PAR1"), DECODED_BYTES_MAX)
        with self.assertRaises(ParquetFault):
            check_size(DECODED_BYTES_MAX + 1, b"PAR1")


class Calls(unittest.TestCase):
    def test_equal_calls_without_a_key_beside_each_other_are_refused(self) -> None:
        @task(key="same")
        async def load(x: int) -> int:
            await asyncio.sleep(0.01)
            return x

        async def branch(x: int) -> int:
            return await load(x)

        @flow
        async def body() -> list[int]:
            return list(await asyncio.gather(branch(1), branch(2)))

        self.assertIsInstance(run_flow(body).error, TaskIdentityUnknown)

    def test_a_result_of_other_code_is_not_reused(self) -> None:
        self.assertEqual(self._again("2", 1), 2)

    def test_a_result_of_other_input_is_not_reused(self) -> None:
        self.assertEqual(self._again("1", 2), 2)

    def test_a_result_of_the_same_code_and_input_is_reused(self) -> None:
        self.assertEqual(self._again("1", 1), 1)

    def _again(self, version: str, x: int) -> int:
        """How often a task is called by a run and by its rerun with another version or input."""
        calls: list[int] = []

        def body_with(version: str) -> Any:
            @task(version=version, key="one")
            def load(x: int) -> int:
                calls.append(x)
                return x

            @flow(name="body")
            def body(x: int) -> int:
                return load(x)

            return body

        first = run_flow(body_with("1"), {"x": 1})
        again = first.rerun({"x": x}, flow=body_with(version))
        self.assertEqual((again.outcome, again.value), ("completed", x))
        return len(calls)


class Requests(unittest.TestCase):
    @unittest.skipIf(threading.current_thread() is not threading.main_thread(), "needs the main thread")
    def test_a_task_that_catches_every_exception_is_cancelled(self) -> None:
        interrupt.install()
        cancel = Cancel()
        swallowed: list[BaseException] = []

        def author() -> str:
            threading.Timer(0.05, lambda: cancel.abort(Cancelled("enough"))).start()
            try:
                time.sleep(10)
            except Exception as error:
                swallowed.append(error)
            return "went on"

        with self.assertRaises(Cancelled):
            in_author_code(cancel, author)
        self.assertEqual(swallowed, [])


if __name__ == "__main__":
    unittest.main()
