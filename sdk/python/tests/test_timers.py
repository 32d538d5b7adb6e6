"""Timers in a forked child."""

from __future__ import annotations

import os
import sys
import threading
import time
import unittest
import warnings

from towpath._internal.engine.timers import TIMERS


class Fork(unittest.TestCase):
    @unittest.skipIf(sys.platform == "win32", "Windows has no fork")
    def test_a_forked_child_is_not_held_by_the_lock_of_its_parents_timers(self) -> None:
        take_back = TIMERS.after(3_600_000, lambda: None)
        with TIMERS._changed, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            forked = os.fork()
            if forked == 0:
                done = threading.Thread(target=take_back, daemon=True)
                done.start()
                done.join(30)
                os._exit(9 if done.is_alive() else 0)
        _, status = os.waitpid(forked, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        take_back()

    @unittest.skipIf(sys.platform == "win32", "Windows has no fork")
    def test_a_forked_child_has_timers_of_its_own(self) -> None:
        fired: list[int] = []
        take_back = TIMERS.after(3_600_000, lambda: None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            forked = os.fork()
        if forked == 0:
            TIMERS.after(1, lambda: fired.append(1))
            end = time.monotonic() + 60
            while not fired and time.monotonic() < end:
                time.sleep(0.001)
            os._exit(0 if fired else 9)
        _, status = os.waitpid(forked, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        take_back()
