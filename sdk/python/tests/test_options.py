"""The options of tasks are those of the TypeScript engine."""

from __future__ import annotations

import re
import unittest
from dataclasses import fields
from pathlib import Path

from towpath._internal.task.options import TaskOptions

_TASKS = Path(__file__).resolve().parents[2] / "flow" / "src" / "task"
_NAMES = {
    "thread": "runs_in",
    "timeout_ms": "timeout",
    "timeout_grace_ms": "timeout_grace",
    "retry_delay_ms": "retry_delay",
}
"""Options with another name here. Durations have their unit in the value, and a task runs in a thread by default."""
_OWN = {"concurrency": "an option of `.map` in TypeScript", "map_key": "the option `key` of `.map` in TypeScript"}


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found.group().lower(), name)


def _options_of(file: str, interface: str) -> set[str]:
    text = (_TASKS / file).read_text(encoding="utf-8")
    body = text[text.index(f"export interface {interface} ") :]
    body = body[: body.index("\n}")]
    return {_snake(name) for name in re.findall(r"^  readonly (\w+)\??:", body, re.MULTILINE)}


class Options(unittest.TestCase):
    def test_every_option_of_a_typescript_task_has_one_here(self) -> None:
        theirs = _options_of("options.ts", "TaskOptions") | _options_of("retry.ts", "RetryOptions")
        self.assertGreater(len(theirs), 15)
        ours = {one.name for one in fields(TaskOptions)}
        missing = {name for name in theirs if _NAMES.get(name, name) not in ours}
        self.assertEqual(missing, set())
        self.assertEqual(ours - {_NAMES.get(name, name) for name in theirs}, set(_OWN))


if __name__ == "__main__":
    unittest.main()
