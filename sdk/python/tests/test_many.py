"""What many mapped calls leave in memory. A long test of the repository measures 100,000."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest

from towpath._internal.task.key_counter import KeyCounter

_FEW, _MANY = 200, 2000
_CHANCE = 100
"""Objects by which two processes differ by chance."""


def _objects(form: str, count: int) -> int:
    told = subprocess.run(
        [sys.executable, "-m", "tests.many", form, str(count)], check=True, capture_output=True, text=True
    )
    found = json.loads(told.stdout)
    assert found["sum"] == count * (count - 1)
    return int(found["objects"])


class Many(unittest.TestCase):
    def test_a_mapped_call_leaves_no_object(self) -> None:
        for form in ("keyed", "async-keyed"):
            with self.subTest(form):
                self.assertLess(_objects(form, _MANY) - _objects(form, _FEW), _CHANCE)

    def test_equal_keys_are_counted_beyond_the_first_slots(self) -> None:
        counter = KeyCounter()
        for ordinal in (1, 2, 3):
            for index in range(5000):
                self.assertEqual(counter.count(f"key {index}"), ordinal)
        self.assertEqual(counter.count("é\ud800"), 1)
