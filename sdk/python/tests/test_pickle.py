"""Results that only pickle can hold: stored by consent and with a key, and checked before a byte is unpickled."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

from towpath import flow, task
from towpath._internal.problem import NotSerialisable, StoreFault
from towpath._internal.store import pickled
from towpath._internal.store.codec import encode
from towpath._internal.store.memory_store import MemoryStore
from towpath._internal.store.pickled import Pickles, pickles_of
from towpath.test import TestedRun, run_flow

KEY = b"k" * 32
OTHER = b"o" * 32
OWNER = ("result", "workspace", "deployment", "origin", "train:1", "code", "input")
UNFIT = NotSerialisable("result", "an instance of Model")


class Model:
    """No data: only pickle can hold it."""

    def __init__(self, weight: float) -> None:
        self.weight = weight


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.path,))


@task
def fit(weight: float) -> Model:
    return Model(weight)


@task
def fit_again(weight: float) -> Model:
    return Model(weight)


@task
def use(x: float) -> float:
    return x


@flow
def training(weight: float = 2.0) -> float:
    fit(weight)
    fit_again(weight + 1)
    model = fit(weight + 2)
    return use(model.weight)


@task(cache=True)
def fit_cached(weight: float) -> Model:
    return Model(weight)


@flow
def cached() -> float:
    return fit_cached(3.0).weight


@flow
def other() -> float:
    return fit_cached(3.0).weight


@task(checkpoint=True)
def required() -> Model:
    return Model(1)


@flow
def requires() -> float:
    return required().weight


@task
def closure() -> Any:
    return lambda: 1


@flow
def closing() -> int:
    closure()
    return 1


def values_of(store: Any) -> dict[str, bytes]:
    assert isinstance(store, MemoryStore)
    return store._values


def refs_of(run: TestedRun) -> list[Any]:
    return [one["result"] for one in run.records if one["type"] == "task" and "result" in one]


class TheFormat(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.made = Path(folder.name, "made")

    def bomb(self) -> bytes:
        return Pickles([KEY]).write(Bomb(str(self.made)), OWNER, UNFIT).data

    def refuses(self, data: bytes, pickles: Pickles, owner: Any = OWNER) -> None:
        with self.assertRaises(StoreFault):
            pickles.read(data, owner, "memory:x")
        self.assertFalse(self.made.exists(), "it was unpickled")

    def test_its_own_bytes_are_unpickled(self) -> None:
        Pickles([KEY]).read(self.bomb(), OWNER, "memory:x")
        self.assertTrue(self.made.exists())

    def test_every_changed_byte_is_refused(self) -> None:
        data = self.bomb()
        for at in range(len(data)):
            self.refuses(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], Pickles([KEY]))

    def test_every_truncated_value_is_refused(self) -> None:
        data = self.bomb()
        for size in range(len(data)):
            self.refuses(data[:size], Pickles([KEY]))
        self.refuses(data + b"x", Pickles([KEY]))

    def test_a_value_that_was_moved_is_refused(self) -> None:
        data = self.bomb()
        for at in range(len(OWNER)):
            self.refuses(data, Pickles([KEY]), (*OWNER[:at], "moved", *OWNER[at + 1 :]))
            self.refuses(data, Pickles([KEY]), (*OWNER[:at], None, *OWNER[at + 1 :]))
        self.refuses(data, Pickles([KEY]), (*OWNER[:4], "train:1code", *OWNER[5:]))

    def test_another_key_is_refused(self) -> None:
        self.refuses(self.bomb(), Pickles([OTHER]))

    def test_a_rotated_key_still_reads_and_the_first_one_signs(self) -> None:
        old = Pickles([KEY]).write(Model(1.5), OWNER, UNFIT).data
        rotated = Pickles([OTHER, KEY])
        self.assertEqual(rotated.read(old, OWNER, "x").weight, 1.5)
        new = rotated.write(Model(2.5), OWNER, UNFIT).data
        self.assertEqual(Pickles([OTHER]).read(new, OWNER, "x").weight, 2.5)
        with self.assertRaises(StoreFault):
            Pickles([KEY]).read(new, OWNER, "x")

    def test_nothing_is_read_without_consent_or_key(self) -> None:
        self.refuses(self.bomb(), Pickles(None))
        self.refuses(self.bomb(), Pickles([]))

    def test_nothing_is_written_without_consent_or_key(self) -> None:
        with self.assertRaisesRegex(NotSerialisable, r'instance of Model.*codecs=\["pickle"\]'):
            Pickles(None).write(Model(1), OWNER, UNFIT)
        with self.assertRaisesRegex(NotSerialisable, "no store key"):
            Pickles([]).write(Model(1), OWNER, UNFIT)

    def test_the_mac_has_the_same_form_in_every_release(self) -> None:
        self.assertEqual(
            pickled._mac(KEY, ("a", None, "ü"), b"content").hex(),
            "28e9498c2bd2670e02bc3f52deecbc39cf520ce53e35dd380051259e3bd85ba8",
        )

    def test_keys_come_in_base64url(self) -> None:
        data = Pickles([b"\xff" * 32]).write(Model(1), OWNER, UNFIT).data
        self.assertEqual(pickles_of(["_" * 42 + "8"]).read(data, OWNER, "x").weight, 1)
        self.assertFalse(pickles_of(None).is_on)
        self.assertFalse(pickles_of([]).is_on)

    def test_a_class_that_is_gone_is_a_fault_of_the_store(self) -> None:
        data = Pickles([KEY]).write(Model(1), OWNER, UNFIT).data
        original = globals().pop("Model")
        try:
            with self.assertRaisesRegex(StoreFault, "cannot be unpickled here"):
                Pickles([KEY]).read(data, OWNER, "x")
        finally:
            globals()["Model"] = original


class InRuns(unittest.TestCase):
    def test_a_later_attempt_reuses_the_model(self) -> None:
        run = run_flow(training, codecs=["pickle"], kill_after=3)
        again = run.resume()
        self.assertEqual(again.value, 4.0)
        self.assertEqual(again.executions, {"fit": 2, "fit_again": 1, "use": 1})
        self.assertEqual([ref["codec"] for ref in refs_of(run)], ["pickle"] * 3)

    def test_a_rerun_reuses_it_too(self) -> None:
        run = run_flow(training, codecs=["pickle"])
        again = run.rerun()
        self.assertEqual((again.value, again.executions), (4.0, {}))
        self.assertEqual(again.rerun().executions, {})

    def test_without_consent_the_task_runs_again_and_a_warning_says_what_to_do(self) -> None:
        run = run_flow(training, kill_after=3)
        self.assertEqual(refs_of(run), [])
        self.assertTrue(any('codecs=["pickle"]' in line for line in run.logs), run.logs)
        self.assertEqual(run.resume().executions["fit"], 4)

    def test_a_stored_pickle_is_not_read_once_consent_is_withdrawn(self) -> None:
        run = run_flow(training, codecs=["pickle"], kill_after=3)
        object.__setattr__(run._made, "pickles", Pickles(None))
        again = run.resume()
        self.assertEqual((again.outcome, again.executions["fit"]), ("completed", 4))

    def test_a_changed_value_is_not_unpickled_and_its_task_runs_again(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder, "made")
            run = run_flow(training, codecs=["pickle"], kill_after=3)
            forged = Pickles([OTHER]).write(Bomb(str(made)), OWNER, UNFIT)
            ref = refs_of(run)[0]
            # A liar changes the store, and the ref that the control plane returns.
            values_of(run.store)[ref["uri"]] = forged.data
            ref.update(sizeBytes=len(forged.data), sha256=forged.sha256)
            again = run.resume()
            self.assertFalse(made.exists())
            self.assertEqual((again.value, again.executions["fit"]), (4.0, 3))
            self.assertTrue(any("no store key of this worker has signed it" in line for line in again.logs), again.logs)

    def test_values_that_were_swapped_between_tasks_are_not_used(self) -> None:
        run = run_flow(training, codecs=["pickle"], kill_after=3)
        first, second, _ = refs_of(run)
        kept = dict(first)
        first.update(second)
        second.update(kept)
        again = run.resume()
        self.assertEqual((again.value, again.executions), (4.0, {"fit": 3, "fit_again": 2, "use": 1}))

    def test_a_value_of_another_run_is_not_used(self) -> None:
        # The same task, code and input: only the run differs.
        run, other_run = (run_flow(training, codecs=["pickle"], kill_after=3) for _ in range(2))
        refs_of(run)[0].update(refs_of(other_run)[0])
        values_of(run.store).update(values_of(other_run.store))
        self.assertEqual(run.resume().executions["fit"], 3)

    def test_a_plain_value_cannot_be_declared_as_pickle(self) -> None:
        run = run_flow(training, codecs=["pickle"])
        store = MemoryStore()
        place: Any = type("P", (), {"path_of": lambda self, encoded: "x"})()
        ref = {**store.save(place, encode({"a": 1}, "result")), "codec": "pickle"}
        with self.assertRaisesRegex(StoreFault, "read only as the result of its own task"):
            store.load(ref)  # type: ignore[arg-type]
        self.assertEqual(run.outcome, "completed")

    def test_a_required_checkpoint_may_be_pickled(self) -> None:
        self.assertEqual(run_flow(requires).outcome, "failed")
        self.assertEqual(run_flow(requires, codecs=["pickle"]).value, 1)

    def test_what_pickle_cannot_hold_is_a_warning(self) -> None:
        run = run_flow(closing, codecs=["pickle"])
        self.assertEqual(run.value, 1)
        self.assertTrue(any("Pickle cannot hold it either" in line for line in run.logs), run.logs)


class InTheCache(unittest.TestCase):
    def test_another_run_takes_it_and_its_next_attempt_reuses_it(self) -> None:
        first = run_flow(cached, codecs=["pickle"])
        second = run_flow(cached, codecs=["pickle"], store=first.store)
        self.assertEqual((second.value, second.executions), (3.0, {}))
        again = second.rerun()
        self.assertEqual((again.value, again.executions), (3.0, {}))
        self.assertFalse(any("cannot be loaded" in line for line in again.logs), again.logs)

    def test_each_deployment_has_its_own(self) -> None:
        first = run_flow(cached, codecs=["pickle"])
        second = run_flow(other, codecs=["pickle"], store=first.store)
        self.assertEqual((second.value, second.executions), (3.0, {"fit_cached": 1}))
        third = run_flow(cached, codecs=["pickle"], store=first.store)
        self.assertEqual(third.executions, {})

    def test_it_is_not_read_without_consent(self) -> None:
        first = run_flow(cached, codecs=["pickle"])
        second = run_flow(cached, store=first.store)
        self.assertEqual((second.value, second.executions), (3.0, {"fit_cached": 1}))


if __name__ == "__main__":
    unittest.main()
