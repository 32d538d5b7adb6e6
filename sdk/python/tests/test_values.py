"""Values that are stored come back equal, or are refused. Errors of earlier attempts keep their class."""

from __future__ import annotations

import array
import math
import random
import unittest
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from towpath import flow, task
from towpath._internal.engine.describe_error import describe_error, raised_again
from towpath._internal.problem import NotSerialisable
from towpath._internal.store.codec import decode, encode
from towpath._internal.store.hashes import PLAIN_HASHES
from towpath._internal.task.input_hash import hash_input
from towpath._internal.text import FLOW_TEXT_CHARS, utf16_length
from towpath.test import run_flow

Dice = random.Random


def _text(dice: Dice) -> str:
    return "".join(dice.choice("a~é\0\n\ud800\U0001f600\u2028/:#") for _ in range(dice.randrange(5)))


def _zoned(dice: Dice) -> datetime:
    zone = ZoneInfo(dice.choice(["Europe/London", "Europe/Berlin", "UTC", "America/St_Johns"]))
    hour = datetime(2026, dice.choice([1, 3, 7, 10]), dice.choice([1, 25, 29]), dice.randrange(4), 30, tzinfo=zone)
    return hour.replace(fold=dice.randrange(2), microsecond=dice.choice([0, 1, 999_000]))


_SCALARS: list[Callable[[Dice], Any]] = [
    lambda d: d.choice(
        [None, True, False, 0, 0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, 2**53, -(2**70), 5e-324, 1e300]
    ),
    lambda d: d.randrange(-(10**6), 10**6),
    lambda d: d.uniform(-1e9, 1e9) * 10.0 ** d.randrange(-30, 30),
    _text,
    lambda d: d.randbytes(d.randrange(4)),
    lambda d: bytearray(d.randbytes(d.randrange(4))),
    _zoned,
    lambda d: datetime(d.randrange(1, 9999), 1, 1, 5, 6, 7, d.randrange(10**6)),
    lambda d: datetime(
        2026, 1, 1, microsecond=d.choice([0, 1000, 1]), tzinfo=d.choice([timezone.utc, timezone(timedelta(seconds=3))])
    ),
    lambda d: date(d.randrange(1, 9999), 2, 3),
    lambda d: time(1, 2, 3, d.randrange(10**6), tzinfo=d.choice([None, timezone.utc])),
    lambda d: timedelta(d.randrange(-9, 9), d.randrange(99), d.randrange(99)),
    lambda d: Decimal(d.choice(["1.10", "-0", "1E+50", "NaN", "-Infinity"])),
    lambda d: UUID(int=d.getrandbits(128)),
    lambda d: PurePosixPath(d.choice(["a", "/a/../b", "."])),
    lambda d: complex(d.choice([0.0, -0.0, math.nan]), d.random()),
]


def _value(dice: Dice, depth: int = 3) -> Any:
    if depth == 0 or dice.random() < 0.4:
        return dice.choice(_SCALARS)(dice)
    many = [_value(dice, depth - 1) for _ in range(dice.randrange(4))]
    kind = dice.randrange(6)
    if kind == 0:
        return many
    if kind == 1:
        return tuple(many)
    if kind == 2:
        return {dice.choice(["~", "__proto__", _text(dice)]): one for one in many}
    if kind == 3:
        return {
            dice.choice([number, (number, "x"), frozenset({number}), str(number)]): one
            for number, one in enumerate(many)
        }
    if kind == 4:
        return dice.choice([set, frozenset])(str(one) for one in many)
    return array.array(dice.choice("hHiIlLqQfd"), [1, 2])


def _shown(value: Any) -> str:
    """Distinguishes what `==` does not: types, zones, NaN, the sign of zero."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}{sorted(map(_shown, value))}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"dict[{', '.join(f'{_shown(key)}: {_shown(item)}' for key, item in value.items())}]"
    if isinstance(value, array.array):
        return f"array{value.tolist()}"
    if isinstance(value, PurePosixPath):
        return f"path {value}"
    if isinstance(value, (datetime, time)):
        return f"{type(value).__name__} {value.isoformat()} {value.tzinfo!r}"
    return repr(value)


class Values(unittest.TestCase):
    def test_random_values_come_back_equal(self) -> None:
        for seed in range(1500):
            value = _value(Dice(seed))
            encoded = encode(value, "result")
            read = decode(encoded.data, codec=encoded.codec, uri="memory:")
            self.assertEqual(_shown(read), _shown(value), f"seed {seed}")
            self.assertEqual(
                hash_input("t", [read], PLAIN_HASHES), hash_input("t", [value], PLAIN_HASHES), f"seed {seed}"
            )

    def test_what_would_not_come_back_equal_is_refused_with_its_place(self) -> None:
        zone = ZoneInfo("Europe/Berlin")
        for value in (10**5000, PureWindowsPath("a"), time(1, tzinfo=zone), array.array("B", [1])):
            with self.subTest(type(value)), self.assertRaisesRegex(NotSerialisable, r"^result\[0\]\.a is "):
                encode([{"a": value}], "result")

    def test_a_very_long_number_can_be_an_argument_and_is_not_stored(self) -> None:
        @task
        def same(x: int) -> int:
            return x

        @flow
        def body() -> int:
            return same(10**5000).bit_length()

        run = run_flow(body)
        self.assertEqual(run.value, (10**5000).bit_length())
        self.assertIn("is not stored", run.logs[0])

    def test_equal_dicts_have_equal_hashes_whatever_their_order(self) -> None:
        self.assertEqual(
            hash_input("t", [{1: "a", (2,): "b"}], PLAIN_HASHES), hash_input("t", [{(2,): "b", 1: "a"}], PLAIN_HASHES)
        )
        self.assertNotEqual(hash_input("t", [{1: 2}], PLAIN_HASHES), hash_input("t", [{2: 1}], PLAIN_HASHES))


class Errors(unittest.TestCase):
    def test_errors_of_earlier_attempts_keep_class_and_message(self) -> None:
        for error in (
            ConnectionError("away"),
            FileNotFoundError("x"),
            MemoryError("much"),
            KeyError(3),
            StopIteration("x"),
            TimeoutError("t"),
        ):
            again = raised_again(describe_error(error))
            self.assertEqual((type(again), str(again)), (type(error), str(error)))
        for kind in ("UnicodeDecodeError", "SyntaxError", "ExceptionGroup"):
            again = raised_again({"name": kind, "message": "bad", "stack": ""})
            self.assertEqual(str(again), "bad")

    def test_texts_are_cut_at_exactly_the_length_that_tells_the_worker_so(self) -> None:
        described = describe_error(ValueError("\U0001f600" * FLOW_TEXT_CHARS))
        self.assertEqual(utf16_length(described["message"]), FLOW_TEXT_CHARS)
        self.assertEqual(describe_error(ValueError("x" * 60_000))["message"], "x" * 60_000)


if __name__ == "__main__":
    unittest.main()
