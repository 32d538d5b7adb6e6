"""Random flows, killed anywhere. A long test of the repository plays more of them."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest

_FIRST = int(os.environ.get("TOWPATH_PROPERTY_SEED", "1"))
_COUNT = int(os.environ.get("TOWPATH_PROPERTY_FLOWS", "12"))


class Property(unittest.TestCase):
    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_only_calls_in_flight_run_twice_and_the_value_is_that_of_a_run_without_a_kill(self) -> None:
        command = [sys.executable, "-m", "tests.property_flow", str(_FIRST), str(_COUNT)]
        told = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        self.assertIn(f"{_COUNT} flows from seed {_FIRST}, 0 faults", told.stdout)


if __name__ == "__main__":
    unittest.main()
