"""Instances of the author's classes come back by the return annotation of the task, or are not stored."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar, Union

from towpath import flow, task
from towpath._internal.problem import NotSerialisable
from towpath._internal.store import shapes
from towpath._internal.store.codec import decode, encode_result
from towpath._internal.store.hashes import PLAIN_HASHES
from towpath._internal.task.input_hash import hash_input
from towpath.test import run_flow

Item = TypeVar("Item")


class Colour(Enum):
    RED = 1
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Right(Flag):
    READ = 1
    WRITE = 2


class Size(NamedTuple):
    width: int
    unit: Colour


@dataclass(frozen=True)
class Point:
    x: int
    y: float


@dataclass
class Line:
    points: list[Point]
    colour: Colour | None = None
    until: date | None = None
    prices: dict[str, Decimal] = field(default_factory=dict)


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)
    above: Tree | None = None


@dataclass
class Checked:
    value: int

    def __post_init__(self) -> None:
        made.append(self.value)


made: list[int] = []


@dataclass
class Alike:
    x: int
    y: float


@dataclass
class Hidden:
    x: int

    def __post_init__(self) -> None:
        self.more = 1


@dataclass
class Boxed(Generic[Item]):
    item: Item


@dataclass(frozen=True)
class Special(Point):
    z: int = 0


class Row(TypedDict):
    at: Point
    name: str


Points = NewType("Points", list)  # type: ignore[type-arg]


def _back(value: Any, returns: Any) -> Any:
    encoded = encode_result(value, "result", lambda: returns)
    return shapes.restored(decode(encoded.data, codec=encoded.codec, uri="memory:"), returns)


class Shapes(unittest.TestCase):
    def test_instances_come_back_equal(self) -> None:
        point = Point(1, 2.5)
        cases: list[tuple[Any, Any]] = [
            (point, Point),
            (Colour.BLUE, Colour),
            (Level.LOW, Level),
            (Right.READ | Right.WRITE, Right),
            (Size(3, Colour.RED), Size),
            (Line([point], Colour.RED, date(2026, 1, 1), {"a": Decimal("1.10")}), Line),
            (Tree("a", [Tree("b"), Tree("c", [Tree("d")])]), Tree),
            ([point], list[Point]),
            ({"a": (point, 1)}, dict[str, tuple[Point, int]]),
            ((point, point), tuple[Point, ...]),
            ({Colour.RED}, set[Colour]),
            (None, Point | None),
            (point, Point | None),
            (point, Union[Tree, Point]),
            ([1, point, "a"], list[Union[int, Point, str]]),
            (point, Annotated[Point, "where"]),
            ({"at": point, "name": "n"}, Row),
            ({Colour.RED: [point]}, Mapping[Colour, Sequence[Point]]),
            (Colour.RED, Literal[Colour.RED]),
            (Boxed(3), Boxed[int]),
        ]
        for value, returns in cases:
            with self.subTest(str(returns)):
                read = _back(value, returns)
                self.assertTrue(shapes.is_same(value, read), read)
                self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [value], PLAIN_HASHES))

    def test_no_code_of_the_class_runs(self) -> None:
        value = Checked(3)
        made.clear()
        self.assertEqual(_back(value, Checked).value, 3)
        self.assertEqual(made, [])

    def test_what_would_not_come_back_equal_is_refused(self) -> None:
        loop = Tree("a")
        loop.above = loop
        cases: list[tuple[Any, Any, str]] = [
            (Special(1, 2.0, 3), Point, "would not come back equal by the return annotation Point"),
            ([Special(1, 2.0, 3)], list[Point], "would not come back equal"),
            (Point(1, 2.0), Union[Alike, Point], "would not come back equal"),
            (Point(1, 2.0), Any, "would not come back equal"),
            (Point(1, 2.0), None, "an instance of Point, which cannot be stored"),
            (loop, Tree, "part of a cycle"),
            ({Point(1, 2.0)}, set[Point], "a set, or keys of a dict, with instances of a class"),
            (Hidden(1), Hidden, "the attribute more, which is no field"),
            (Boxed(threading.Lock()), Boxed, "an instance of lock"),
            (Boxed(Point(1, 2.0)), Boxed, "would not come back equal"),
        ]
        for value, returns, why in cases:
            with self.subTest(why), self.assertRaisesRegex(NotSerialisable, why):
                encode_result(value, "result", lambda: returns)

    def test_the_store_names_no_class(self) -> None:
        encoded = encode_result(Line([Point(1, 2.0)], Colour.RED), "result", lambda: Line)
        for name in (b"Line", b"Point", b"Colour", b"test_shapes"):
            self.assertNotIn(name, encoded.data)

    def test_data_that_does_not_fit_is_refused(self) -> None:
        encoded = encode_result(Point(1, 2.0), "result", lambda: Point)
        read = decode(encoded.data, codec=encoded.codec, uri="memory:")
        for returns in (Tree, Size, Colour):
            with self.subTest(returns.__name__), self.assertRaises(ValueError):
                shapes.restored(read, returns)


class Runs(unittest.TestCase):
    def test_a_later_attempt_gets_instances(self) -> None:
        @task
        def draw() -> Line:
            return Line([Point(1, 2.0)], Colour.BLUE)

        @task
        def count(line: Line) -> Size:
            return Size(len(line.points), Colour.RED)

        @flow
        def body() -> Line:
            line = draw()
            size = count(line)
            assert type(line.points[0]) is Point and line.colour is Colour.BLUE
            assert type(size) is Size and size.unit is Colour.RED
            return line

        run = run_flow(body, kill_after="count")
        resumed = run.resume()
        self.assertEqual((resumed.outcome, resumed.value), ("completed", Line([Point(1, 2.0)], Colour.BLUE)))
        self.assertEqual((resumed.executions, resumed.logs), ({"draw": 1, "count": 1}, []))

    def test_a_class_of_a_function_comes_back(self) -> None:
        @dataclass
        class Local:
            x: int

        @task
        def make() -> Local:
            return Local(1)

        @flow
        def body() -> int:
            return make().x

        run = run_flow(body, kill_after="make")
        self.assertEqual(run.resume().value, 1)

    def test_what_is_not_kept_is_one_warning_that_names_the_task_and_the_type(self) -> None:
        @task
        def make(x: int):  # type: ignore[no-untyped-def]
            return Point(x, 1.0)

        @flow
        def body() -> int:
            made: Callable[[int], Any] = make
            return sum(made(x).x for x in range(3))

        run = run_flow(body)
        self.assertEqual((run.value, len(run.logs)), (3, 1))
        self.assertRegex(run.logs[0], 'task "make" is not stored.*an instance of Point')


if __name__ == "__main__":
    unittest.main()
