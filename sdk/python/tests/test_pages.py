"""The Python in the how-to pages runs: each block that is marked `python test`, as a module of its own."""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
import unittest
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[3]
_PAGES = (
    "docs/how-to/external-jobs.md",
    "docs/how-to/pass-data.md",
    "docs/how-to/remote-tasks.md",
    "docs/how-to/stages.md",
    "docs/how-to/start-other-work.md",
    "docs/how-to/test-a-flow.md",
)
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
        for page in _PAGES:
            blocks = _BLOCK.findall((_PROJECT / page).read_text(encoding="utf-8"))
            self.assertGreater(len(blocks), 0, page)
            for index, code in enumerate(blocks):
                with self.subTest(page=page, block=index):
                    _run(f"page_{Path(page).stem.replace('-', '_')}_{index}", code)

    def test_every_page_with_a_block_is_listed(self) -> None:
        pages = (_PROJECT / "docs").rglob("*.md")
        found = [page for page in pages if _BLOCK.search(page.read_text(encoding="utf-8"))]
        self.assertEqual(sorted(page.relative_to(_PROJECT).as_posix() for page in found), sorted(_PAGES))
