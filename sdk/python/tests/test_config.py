"""The configuration of a project, and how a deploy finds flows and their modules."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from towpath._internal.code.load import ModuleNotThere, load_module, module_name
from towpath._internal.deploy.places import files_reached, flow_in
from towpath._internal.problem import InvalidDefinition
from towpath.config import command, cron, deployment, every, git, oci_layout, project, rrule, stage


@contextmanager
def project_with(files: dict[str, str]) -> Iterator[Path]:
    """A folder with files. Modules that it loads are forgotten after it."""
    path, modules = list(sys.path), dict(sys.modules)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        before = os.getcwd()
        os.chdir(root)
        try:
            yield root
        finally:
            os.chdir(before)
            sys.path[:] = path
            for name in [one for one in sys.modules if one not in modules]:
                del sys.modules[name]


class Config(unittest.TestCase):
    def test_a_project_is_the_data_of_its_table(self) -> None:
        made = project(
            "training",
            pool="local",
            registry=git("https://git.example/code", password={"env": "TOKEN"}),
            files=["flows/**"],
            stages={"prod": stage(pool="prod", env={"LEVEL": "warn"})},
            deployments=[
                deployment(
                    "flows/train.py:train_all",
                    timeout=timedelta(minutes=1),
                    retry={"limit": 2, "delay": timedelta(seconds=1.5)},
                    expires_at=datetime(2027, 1, 2, 3, tzinfo=timezone.utc),
                    schedules=[{"name": "nightly", "timing": cron("0 3 * * *", "Europe/Berlin")}],
                ),
                command("say", ["echo", "hello"], tags=("a", "b")),
            ],
        )
        self.assertEqual(
            made.data(),
            {
                "project": "training",
                "pool": "local",
                "registry": {"git": "https://git.example/code", "name": "code", "password": {"env": "TOKEN"}},
                "files": ["flows/**"],
                "stages": {"prod": {"pool": "prod", "env": {"LEVEL": "warn"}}},
                "deployments": {
                    "train-all": {
                        "flow": "flows/train.py:train_all",
                        "timeout": "60000ms",
                        "retry": {"limit": 2, "delay": "1500ms"},
                        "expires_at": "2027-01-02T03:00:00.000Z",
                        "schedules": [{"name": "nightly", "timing": {"cron": "0 3 * * *", "zone": "Europe/Berlin"}}],
                    },
                    "say": {"command": ["echo", "hello"], "tags": ["a", "b"]},
                },
            },
        )

    def test_timings(self) -> None:
        self.assertEqual(every("15m"), {"every": "15m"})
        self.assertEqual(rrule("FREQ=DAILY", start="2026-01-30T09:00")["zone"], "UTC")
        with self.assertRaisesRegex(InvalidDefinition, "every"):
            every("soon")

    def test_an_unknown_option_names_the_closest(self) -> None:
        with self.assertRaisesRegex(InvalidDefinition, 'no option "tmeout". Did you mean "timeout"'):
            deployment("a.py:a", tmeout="1s")  # type: ignore[call-arg,unused-ignore]

    def test_a_place_has_a_module_and_a_name(self) -> None:
        with self.assertRaisesRegex(InvalidDefinition, "flows/train.py:train"):
            deployment("flows/train.py")

    def test_two_deployments_of_one_name(self) -> None:
        twice = [deployment("a.py:one"), deployment("b.py:one")]
        with self.assertRaisesRegex(InvalidDefinition, 'two deployments called "one"'):
            project("p", pool="local", registry=oci_layout("r"), deployments=twice)


class Modules(unittest.TestCase):
    def test_names_of_modules(self) -> None:
        with project_with({"src/pkg/a.py": "", "flows/b.py": "", "my-flow.py": ""}) as root:
            self.assertEqual(module_name(root, "src/pkg/a.py"), "pkg.a")
            self.assertEqual(module_name(root, "flows/b.py"), "flows.b")
            self.assertIsNone(module_name(root, "my-flow.py"))

    def test_a_module_is_loaded_once_and_by_its_own_path(self) -> None:
        files = {
            "my-flow.py": "x = []",
            "json.py": "mine = True",
            "src/pkg/a.py": "x = 2",
            "flows/b.py": "import pkg.a",
        }
        with project_with(files) as root:
            self.assertIs(load_module(root, "my-flow.py"), load_module(root, "my-flow.py"))
            # A module of the standard library with the same name is already imported.
            self.assertTrue(load_module(root, "json.py").mine)
            self.assertEqual(load_module(root, "src/pkg/a.py").x, 2)
            self.assertEqual(load_module(root, "flows/b.py").__name__, "flows.b")
            with self.assertRaises(ModuleNotThere):
                load_module(root, "flows/missing.py")

    def test_a_flow_is_found_by_its_name(self) -> None:
        with project_with({"one.py": "from towpath import flow\n@flow\ndef train(): ...\nx = 1\n"}) as root:
            module = load_module(root, "one.py")
            self.assertEqual(flow_in(module, "one.py", "train").name, "train")
            with self.assertRaisesRegex(InvalidDefinition, 'no flow trian at its top. Did you mean "train"'):
                flow_in(module, "one.py", "trian")
            with self.assertRaisesRegex(InvalidDefinition, "x in one.py is a int"):
                flow_in(module, "one.py", "x")

    def test_a_flow_inside_of_a_function_cannot_be_deployed(self) -> None:
        text = "from towpath import flow\ndef make():\n    @flow\n    def inner(): ...\n    return inner\n"
        with project_with({"one.py": text}) as root:
            inner = load_module(root, "one.py").make()
            with self.assertRaisesRegex(InvalidDefinition, "not at the top of its module one.py"):
                deployment(inner)

    def test_files_that_a_module_reaches(self) -> None:
        files = {
            "flows/__init__.py": "",
            "flows/a.py": "from . import b\ndef f():\n    from flows.deep.c import x\n",
            "flows/b.py": "import json",
            "flows/deep/__init__.py": "",
            "flows/deep/c.py": "x = 1",
            "flows/other.py": "",
            "text.py": "import importlib\nimportlib.import_module('flows.' + 'a')",
            "path.py": "open(__file__)",
        }
        with project_with(files) as root:
            reached = files_reached(root, "flows/a.py")
            wanted = ["__init__.py", "a.py", "b.py", "deep/__init__.py", "deep/c.py"]
            self.assertEqual(reached, [f"flows/{name}" for name in wanted])
            self.assertIsNone(files_reached(root, "text.py"))
            self.assertIsNone(files_reached(root, "path.py"))
