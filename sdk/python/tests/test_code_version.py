"""Versions of tasks' code: which changes count, and which do not."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

from towpath._internal.code.version import CodeVersions

_FILES = {
    "flow.py": '''"""A flow."""
import json
import helpers
from helpers import double as twice
from tables import *
import lib.deep
from lib import side, other as aside

RATE = 3
TABLE = {"a": 1}
TABLE["b"] = 2
UNUSED = 7

def load(path):
    """Loads."""
    return [twice(x) * RATE for x in json.loads(path)]

def pick(name):
    return TABLE[name]

def star():
    return from_tables

def by_module(x):
    return helpers.half(x)

def dynamic(name):
    return getattr(helpers, name)

def deep():
    return lib.deep.bottom(), side.left(), f"{RATE:>3} x" "y"

def late():
    from helpers import third
    return third

class Model:
    def fit(self):
        return pick("a")

def by_text(name):
    return globals()[name]

def logged(fn):
    def inner(*args):
        return fn(*args)
    return inner

@logged
def wrapped():
    return RATE

def with_class():
    return Model().fit()
''',
    "helpers.py": """
LIMIT = 10
def double(x):
    return min(2 * x, LIMIT)
def half(x):
    return x / 2
def third(x):
    return x / 3
""",
    "tables.py": "from_tables = 1\n",
    "lib/__init__.py": "other = 5\n",
    "lib/deep.py": "def bottom():\n    return 1\n\ndef top():\n    return 2\n",
    "lib/side.py": "def left():\n    return 1\n\nprint\n",
}
_NAMES = ("load", "pick", "star", "by_module", "dynamic", "deep", "late", "by_text", "wrapped", "with_class")


def _versions(files: dict[str, str]) -> dict[str, str | None]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        before = set(sys.modules)
        sys.path.insert(0, folder)
        try:
            spec = importlib.util.spec_from_file_location("flow_under_test", root / "flow.py")
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            made = CodeVersions([root])
            return {name: made.of(getattr(module, name)) for name in _NAMES}
        finally:
            sys.path.remove(folder)
            for name in set(sys.modules) - before:
                del sys.modules[name]


class CodeVersion(unittest.TestCase):
    def setUp(self) -> None:
        self.before = _versions(_FILES)

    def _changed(self, file: str, old: str, new: str) -> set[str]:
        self.assertIn(old, _FILES[file])
        after = _versions({**_FILES, file: _FILES[file].replace(old, new)})
        self.after = after
        # It reaches everything.
        return {name for name in _NAMES if after[name] != self.before[name]} - {"by_text"}

    def test_it_is_equal_on_every_python(self) -> None:
        self.assertEqual(self.before["load"], "673801f5b44ef5e6")
        self.assertEqual(self.before["deep"], "0aead82f98090792")

    def test_comments_formatting_docstrings_and_unrelated_code_do_not_count(self) -> None:
        self.assertEqual(self._changed("flow.py", '"""Loads."""', '"""Reads."""  # so'), set())
        self.assertEqual(self._changed("flow.py", "RATE = 3\n", "\n\nRATE   =  (3)\n"), set())
        self.assertEqual(self._changed("flow.py", "UNUSED = 7", "UNUSED = 8"), set())
        self.assertNotEqual(self.before["by_text"], self.after["by_text"])
        self.assertEqual(self._changed("flow.py", ' x" "y"', ' xy"'), set())

    def test_what_a_task_reaches_counts(self) -> None:
        self.assertEqual(self._changed("flow.py", "RATE = 3", "RATE = 4"), {"load", "deep", "wrapped"})
        self.assertEqual(self._changed("flow.py", "fn(*args)", "fn(*args) or 1"), {"wrapped"})
        self.assertEqual(self._changed("flow.py", 'TABLE["b"] = 2', 'TABLE["b"] = 3'), {"pick", "with_class"})
        self.assertEqual(self._changed("flow.py", 'pick("a")', 'pick("b")'), {"with_class"})
        self.assertEqual(self._changed("helpers.py", "LIMIT = 10", "LIMIT = 11"), {"load", "dynamic"})
        self.assertEqual(self._changed("helpers.py", "x / 2", "x / 4"), {"by_module", "dynamic"})
        self.assertEqual(self._changed("helpers.py", "x / 3", "x / 5"), {"dynamic", "late"})
        self.assertEqual(self._changed("tables.py", "= 1", "= 2"), {"star"})
        self.assertEqual(self._changed("lib/deep.py", "return 1", "return 3"), {"deep"})
        self.assertEqual(self._changed("lib/deep.py", "return 2", "return 3"), {"deep"})
        self.assertEqual(self._changed("lib/side.py", "return 1", "return 3"), {"deep"})

    def test_code_that_imports_by_text_has_no_version(self) -> None:
        text = "import importlib\n\ndef load(name):\n    return importlib.import_module(name)\n"
        rest = "".join(f"def {name}(): ...\n" for name in _NAMES[1:])
        self.assertIsNone(_versions({"flow.py": text + rest})["load"])

    def test_code_outside_of_the_project_has_no_version(self) -> None:
        self.assertIsNone(CodeVersions([Path("/nowhere")]).of(_versions))
        self.assertIsNone(CodeVersions([Path("/")]).of(print))


if __name__ == "__main__":
    unittest.main()
