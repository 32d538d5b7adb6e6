"""What people write has the same words as in the TypeScript engine, whose sources are the list."""

from __future__ import annotations

import re
import unittest
from dataclasses import fields
from pathlib import Path
from typing import Any

import towpath
from towpath import Cache, Job
from towpath._internal import flow, given
from towpath._internal.engine.host import Facts
from towpath._internal.task.given import GivenTaskOptions
from towpath._internal.task.options import TaskOptions
from towpath.config import DeploymentOptions

_SOURCES = Path(__file__).resolve().parents[2] / "flow" / "src"
_DURATIONS = {
    "close_ms": "close_timeout",
    "expire_after_ms": "expire_after",
    "expires_ms": "expires",
    "kill_grace_ms": "kill_grace",
    "lost_after_ms": "lost_after",
    "retry_delay_ms": "retry_delay",
    "run_timeout_ms": "run_timeout",
    "timeout_grace_ms": "timeout_grace",
    "timeout_ms": "timeout",
}
"""Durations have their unit in the value."""


def _snake(name: str) -> str:
    written = re.sub(r"([A-Z])", lambda found: "_" + found.group().lower(), name)
    return _DURATIONS.get(written, written)


def _source(file: str) -> str:
    return (_SOURCES / file).read_text(encoding="utf-8")


def _members_of(file: str, interface: str) -> set[str]:
    """The fields and methods of an interface, in snake_case."""
    text = _source(file)
    body = text[text.index(f"export interface {interface}") :]
    body = body[body.index(" {\n") : body.index("\n}")]
    return {_snake(name) for name in re.findall(r"^  (?:readonly )?(\w+)\??[:(<]", body, re.MULTILINE)}


def _names_of(cls: Any) -> set[str]:
    return {one.name for one in fields(cls)}


class Options(unittest.TestCase):
    def check(self, theirs: set[str], ours: set[str], *, other: dict[str, str], own: set[str]) -> None:
        """@param other Words with another name here, or none. @param own Words that only Python has."""
        self.assertGreater(len(theirs), 2)
        self.assertEqual(set(other) - theirs, set(), "no such word in TypeScript")
        self.assertEqual(own - ours, set(), "no such word in Python")
        named = {other.get(name, name) for name in theirs} - {""}
        self.assertEqual(named - ours, set(), "TypeScript has these, and Python does not")
        self.assertEqual(ours - named, own, "Python has these, and TypeScript does not")

    def test_every_option_of_a_typescript_task_has_one_here(self) -> None:
        theirs = _members_of("task/options.ts", "TaskOptions") | _members_of("task/retry.ts", "RetryOptions")
        # `.map` has these two in TypeScript. A task runs in a thread by default.
        own = {"concurrency", "map_key"}
        self.check(theirs, _names_of(TaskOptions), other={"thread": "runs_in"}, own=own)
        mapped = _members_of("task/map.ts", "MapOptions")
        self.assertEqual(mapped, {"concurrency", "key", "args"})

    def test_every_option_of_a_typescript_flow_has_one_here(self) -> None:
        theirs = _members_of("flow.ts", "FlowOptions") | _members_of("engine/hooks.ts", "FlowHooks")
        # The signature is the schema.
        self.check(theirs, {"name", *flow._OPTIONS}, other={"input": ""}, own=set())

    def test_every_option_of_caches_jobs_and_deployments_has_one_here(self) -> None:
        self.check(_members_of("task/options.ts", "CacheOptions"), _names_of(Cache), other={}, own=set())
        self.check(_members_of("jobs/job.ts", "JobOptions"), _names_of(Job), other={}, own={"returns"})
        deployed = _members_of("deployments/deployment.ts", "DeploymentOptions") | _members_of(
            "deployments/deployment.ts", "PythonFlowOptions"
        )
        ours = set(DeploymentOptions.__annotations__)
        # The flow's place is an argument, and `locked` or `interpreter` is the environment.
        other = {"module": "", "function": "", "environment": "interpreter"}
        self.check(deployed, ours, other=other, own=set())

    def test_every_member_of_a_typescript_run_has_one_here(self) -> None:
        theirs = _members_of("engine/context.ts", "RunContext")
        other = {"signal": "is_cancelled", "run_deployment": "run_child"}
        ours = _names_of(Facts) | set(towpath.__all__)
        self.assertEqual(set(other) - theirs, set())
        self.assertGreater(len(theirs), 12)
        self.assertEqual({other.get(name, name) for name in theirs} - ours, set())

    def test_every_function_of_the_typescript_package_has_one_here(self) -> None:
        text = _source("index.ts")
        listed = re.findall(r"^export \{([^}]*)\}", text, re.MULTILINE)
        theirs = {_snake(name.strip()) for part in listed for name in part.split(",")}
        theirs = {name for name in theirs if name and not name.startswith("type ")}
        # A run's context is functions here, and a kind of job is a class.
        other = {"ctx": "run_facts", "job": "Job"}
        self.assertEqual(set(other) - theirs, set())
        self.assertGreater(len(theirs), 12)
        self.assertEqual({other.get(name, name) for name in theirs} - set(towpath.__all__), set())

    def test_every_error_of_the_typescript_package_has_one_here(self) -> None:
        theirs = set(re.findall(r"^export class (\w+) extends", _source("problem.ts"), re.MULTILINE))
        self.assertGreater(len(theirs), 20)
        other = {
            "ArtifactRefused": "InvalidDefinition",
            "NotInThread": "NotInProcess",
            "SecretMissing": "OutsideOfRun",
            "ThreadEnded": "TaskProcessEnded",
            # Python ends with the exception itself.
            "Unhandled": "TowpathError",
        }
        self.assertEqual(set(other) - theirs, set())
        self.assertEqual({other.get(name, name) for name in theirs} - set(towpath.__all__), set())

    def test_type_checkers_know_the_same_options(self) -> None:
        known = {one.name: one.type for one in fields(TaskOptions)}
        told = {name: hint.__forward_arg__ for name, hint in GivenTaskOptions.__annotations__.items()}
        self.assertEqual(told, known)
        self.assertEqual(set(given.GivenFlowOptions.__annotations__), {"name", *flow._OPTIONS})
        self.assertEqual(set(given.OtherFlowOptions.__annotations__), set(flow._OPTIONS))


if __name__ == "__main__":
    unittest.main()
