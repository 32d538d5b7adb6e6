"""Hashes of arguments, by the test vectors and by Python's own kinds."""

from __future__ import annotations

import threading
import tracemalloc
import unittest
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from towpath import flow, task
from towpath._internal.problem import NotData
from towpath._internal.store.hashes import PLAIN_HASHES
from towpath._internal.store.typed_json import UNDEFINED, from_typed_json
from towpath._internal.task.input_hash import hash_input
from towpath.test import run_flow

from .vectors import vectors

_NO_EQUAL = {
    "a bigint": "a small whole number is a plain number in Python",
    "an object without a prototype": "Python has one kind of dict",
    "a map": "a map from text is a dict in Python",
    "a set": "a set of Python has no order",
    "a URL": "it is text in Python",
    "an invalid date": "Python has none",
    "a buffer of Node": "it is bytes in Python",
    "an array buffer": "it is bytes in Python",
}
"""Values of JavaScript that have no equal in Python, and why."""


class InputHash(unittest.TestCase):
    def test_vectors(self) -> None:
        cases = vectors("input-hash")["cases"]
        self.assertLessEqual(_NO_EQUAL.keys(), {case["name"] for case in cases})
        for case in cases:
            with self.subTest(case["name"]):
                behind = b"\0" + bytes.fromhex(case["bytes"]) if "bytes" in case else b""
                if case["name"] in _NO_EQUAL:
                    continue
                arguments = from_typed_json(case["arguments"].encode("utf-8", "surrogatepass") + behind, UNDEFINED)
                self.assertEqual(hash_input("t", arguments, PLAIN_HASHES), case["hash"])

    def test_pythons_own_kinds_differ_from_each_other(self) -> None:
        @dataclass
        class Point:
            x: int
            y: int

        kinds = [
            (1, 2),
            [1, 2],
            {1, 2},
            frozenset(("1", "2")),
            1,
            1.0,
            True,
            "1",
            b"1",
            Decimal(1),
            2**60,
            2.0**60,
            Point(1, 2),
            {"x": 1, "y": 2},
            date(2026, 1, 1),
            datetime(2026, 1, 1),
            datetime(2026, 1, 1, tzinfo=timezone.utc),
            timedelta(1),
            Path("1"),
            range(3),
            bytearray(b"1"),
            {1: 2},
            0,
            0.0,
            -0.0,
            None,
            False,
        ]
        hashes = [hash_input("t", [kind], PLAIN_HASHES) for kind in kinds]
        self.assertEqual(len(set(hashes)), len(kinds))

    def test_a_set_has_the_same_hash_in_every_process(self) -> None:
        self.assertEqual(
            hash_input("t", [{"a", "b", "c"}], PLAIN_HASHES), hash_input("t", [{"c", "a", "b"}], PLAIN_HASHES)
        )
        self.assertEqual(hash_input("t", [{"a", "b", "c"}], PLAIN_HASHES), "ea14894ff5931948")

    def test_many_items_need_little_memory(self) -> None:
        many = list(range(100_000))
        tracemalloc.start()
        hash_input("t", [many], PLAIN_HASHES)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.assertLess(peak, 1_000_000)

    def test_what_is_no_data_is_named(self) -> None:
        with self.assertRaisesRegex(NotData, r'argument 2, field "\[0\].lock" is an instance of lock'):
            hash_input('Task "load"', [1, [{"lock": threading.Lock()}]], PLAIN_HASHES)
        loop: list[object] = []
        loop.append(loop)
        with self.assertRaisesRegex(NotData, "part of a cycle"):
            hash_input("t", [loop], PLAIN_HASHES)

    def test_an_argument_that_cannot_be_hashed_is_named_with_the_call_to_write(self) -> None:
        @task(name="load rows")
        def load(path: str, client: object) -> int:
            return 1

        @task
        def count(*items: object) -> int:
            return len(items)

        for call, place, advice in (
            (lambda: load("a", threading.Lock()), 'argument "client" is an instance of lock', "load.with_options(key="),
            (lambda: load("a", client=len), 'argument "client" is the function len', "load.with_options(key="),
            (lambda: count(1, len), "argument 2 is the function len", "count.with_options(key="),
            (lambda: load.map([len], 1).results(), 'argument "items", field "map[0]"', "load.with_options(map_key="),
            (lambda: load.map(["a"], len).results(), 'argument "client"', "load.with_options(map_key="),
        ):
            error = run_flow(flow(name="body")(call)).error
            self.assertIsInstance(error, NotData)
            self.assertIn(place, str(error))
            self.assertIn(advice, str(error))


if __name__ == "__main__":
    unittest.main()
