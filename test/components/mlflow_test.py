"""One MLflow run for each run of a flow, in a real MLflow with a database."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python" / "src"))

import mlflow
from towpath import flow, suspend, task
from towpath import mlflow as towpath_mlflow
from towpath.mlflow import mlflow_run
from towpath.test import TestedRun, run_flow

logging.getLogger("alembic").setLevel(logging.ERROR)
FOLDER = tempfile.TemporaryDirectory()


@task
def fit(depth: int) -> float:
    with mlflow_run(tags={"team": "numbers"}) as active:
        assert mlflow.active_run() is active
        mlflow.log_metric("accuracy", depth / 10, step=depth)
    return depth / 10


@flow
def tune(depths: list[int]) -> float:
    with mlflow_run():
        mlflow.log_param("depths", depths)
        # In this thread the run is active already, and stays so.
        first = fit(depths[0])
        mlflow.log_param("first", first)
    assert mlflow.active_run() is None
    return max([first, *fit.map(depths[1:]).results()])


def runs_of(run: TestedRun) -> list[Any]:
    """The MLflow runs of a run, whatever their experiment."""
    experiments = [one.experiment_id for one in mlflow.MlflowClient().search_experiments()]
    tag = f"tags.`towpath.run_id` = '{run._made.facts.run_id}'"
    return list(mlflow.MlflowClient().search_runs(experiments, tag))


class Tracked(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        mlflow.set_tracking_uri(f"sqlite:///{FOLDER.name}/mlflow.db")

    def one_of(self, run: TestedRun) -> Any:
        found = runs_of(run)
        self.assertEqual(len(found), 1)
        return found[0]

    def steps_of(self, run: TestedRun) -> list[int]:
        history = mlflow.MlflowClient().get_metric_history(self.one_of(run).info.run_id, "accuracy")
        return sorted(one.step for one in history)

    def test_one_run_through_all_attempts_with_nothing_logged_twice(self) -> None:
        first = run_flow(tune, {"depths": [1, 2, 3, 4]}, kill_after=2)
        self.assertEqual(first.outcome, "killed")
        self.assertEqual(self.one_of(first).info.status, "RUNNING")
        done = {one.path for one in first.tasks if one.state == "completed"}
        second = first.resume()
        self.assertEqual((second.outcome, second.value), ("completed", 0.4))
        self.assertEqual(len(done), 2)
        told = self.one_of(second)
        self.assertEqual(told.info.status, "FINISHED")
        # A task that the kill interrupted may have logged already: it had not completed.
        self.assertEqual(set(self.steps_of(second)), {1, 2, 3, 4})
        self.assertEqual(self.steps_of(second).count(1), 1)
        self.assertEqual(told.data.params, {"depths": "[1, 2, 3, 4]", "first": "0.1"})
        self.assertEqual(told.data.tags["towpath.attempt"], "2")
        self.assertEqual(told.data.tags["team"], "numbers")
        self.assertIn(told.info.run_id, second.artifacts["mlflow"]["text"])

    def test_nested_runs_are_in_the_experiment_of_the_run(self) -> None:
        @task
        def candidates() -> None:
            with mlflow_run(experiment="nested"):
                for depth in (1, 2):
                    with mlflow.start_run(nested=True, run_name=f"depth {depth}"):
                        mlflow.log_metric("accuracy", depth / 10)

        @flow
        def body() -> None:
            candidates()

        run = run_flow(body)
        self.assertEqual(run.outcome, "completed")
        outer = self.one_of(run)
        client = mlflow.MlflowClient()
        inner = client.search_runs([outer.info.experiment_id], f"tags.`mlflow.parentRunId` = '{outer.info.run_id}'")
        self.assertEqual(sorted(one.info.run_name for one in inner), ["depth 1", "depth 2"])
        self.assertEqual(client.get_experiment(outer.info.experiment_id).name, "nested")

    def test_a_run_that_no_attempt_kept_is_found_by_its_tag(self) -> None:
        @flow
        def body() -> None:
            fit(1)

        with mock.patch.object(towpath_mlflow, "keep_in", side_effect=OSError("the disk is full")):
            first = run_flow(body)
        self.assertEqual((first.outcome, len(runs_of(first))), ("failed", 1))
        second = first.resume()
        self.assertEqual(second.outcome, "completed", second.error)
        self.assertEqual(self.one_of(second).info.status, "FINISHED")

    def test_the_status_follows_the_outcome(self) -> None:
        @flow
        def fails(times: int) -> None:
            with mlflow_run("outcomes"):
                raise ValueError("bad")

        run = run_flow(fails, {"times": 1})
        self.assertEqual(self.one_of(run).info.status, "FAILED")
        again = run.resume()
        self.assertEqual(self.one_of(again).info.status, "FAILED")

        @flow
        def waits() -> None:
            with mlflow_run("outcomes"):
                suspend.input("Go on?", bool)

        waiting = run_flow(waits)
        self.assertEqual((waiting.outcome, self.one_of(waiting).info.status), ("suspended", "RUNNING"))
        self.assertEqual(self.one_of(waiting.resume(answers={"Go on?": True})).info.status, "FINISHED")

        @flow
        def rerun(times: int) -> float:
            return fit(times)

        done = run_flow(rerun, {"times": 1})
        other = done.rerun()
        self.assertEqual((other.outcome, other.executions), ("completed", {}))
        self.assertEqual((len(runs_of(done)), runs_of(other)), (1, []))

    def test_coroutines_of_one_thread_share_the_active_run(self) -> None:
        entered = [0]

        @task
        async def log(step: int) -> None:
            with mlflow_run("coroutines"):
                entered[0] += 1
                while entered[0] < 3:
                    await asyncio.sleep(0)
                # The others may have left.
                for _ in range(step * 5):
                    await asyncio.sleep(0)
                mlflow.log_metric("accuracy", 1, step=step)

        @flow
        async def body() -> None:
            await asyncio.gather(*[log(step) for step in range(3)])

        run = run_flow(body)
        self.assertEqual(run.outcome, "completed", run.error)
        self.assertEqual(self.steps_of(run), [0, 1, 2])

    def test_a_server_that_is_away_at_the_end_is_a_warning(self) -> None:
        @flow
        def body() -> str:
            fit(1)
            return "done"

        with mock.patch.object(mlflow.MlflowClient, "set_terminated", side_effect=_at_end(ConnectionError("away"))):
            run = run_flow(body)
        self.assertEqual((run.outcome, run.value), ("completed", "done"))
        self.assertTrue(any("away" in line for line in run.logs), run.logs)

    def test_addresses_are_shown_without_passwords(self) -> None:
        self.assertEqual(towpath_mlflow._public("https://me:secret@host:5000/a?token=x#y"), "https://host:5000/a")
        self.assertEqual(towpath_mlflow._public("postgresql://me:secret@host/db"), "postgresql")
        self.assertEqual(towpath_mlflow._public("./mlruns"), "file")

    def test_runs_at_the_same_time_make_one_experiment(self) -> None:
        runs: list[TestedRun] = []

        @flow
        def body() -> None:
            with mlflow_run("together"):
                mlflow.log_metric("accuracy", 1)

        threads = [threading.Thread(target=lambda: runs.append(run_flow(body))) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual([one.outcome for one in runs], ["completed"] * 3, [one.error for one in runs])
        self.assertEqual(len({self.one_of(run).info.experiment_id for run in runs}), 1)


def _at_end(error: Exception) -> Any:
    """Fails for a final status only."""

    def answer(_run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        if status != "RUNNING":
            raise error

    return answer


if __name__ == "__main__":
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"
    unittest.main()
