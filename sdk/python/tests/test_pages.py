"""The Python in the how-to pages runs: each block that is marked `python test`, as a module of its own."""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
import unittest
from pathlib import Path

_PAGES = Path(__file__).resolve().parents[3] / "docs" / "how-to"
_BLOCK = re.compile(r"^```python test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _run(name: str, code: str) -> None:
    """Runs code from a file, because annotations and versions of tasks are read from modules."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.py")
        file.write_text(code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[name]


class Pages(unittest.TestCase):
    def test_every_block_runs(self) -> None:
        ran = []
        for page in sorted(_PAGES.glob("*.md")):
            for index, code in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8"))):
                with self.subTest(page=page.name, block=index):
                    _run(f"page_{page.stem.replace('-', '_')}_{index}", code)
                ran.append(page.name)
        self.assertIn("stages.md", ran)
