"""The watchdog kills no process that answers, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import time
import unittest

from .watched_flows import IS_LINUX, Ended, Flows, is_gone, script


@unittest.skipUnless(IS_LINUX, "reads /proc")
class Alive(Flows):
    @script("""
@task
def one():
    say("children", children(), "subprocess" in sys.modules)

@flow
def body():
    one()
""")
    def test_a_flow_without_time_limits_starts_nothing(self, ended: Ended) -> None:
        # The script itself imports subprocess; the guard would be a child.
        self.assertIn("children [] True", ended.out)

    @script("""
@task(timeout=0.1, timeout_grace=1)
def deaf():
    end = time.monotonic() + 4
    while time.monotonic() < end:
        try:
            time.sleep(end - time.monotonic())
        except TaskTimeout:
            pass

@task(timeout=0.1, timeout_grace=1)
def thread():
    time.sleep(4)

@task(timeout=0.1, timeout_grace=1)
async def coroutine():
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@task(timeout=30)
def quick(x):
    return x

@flow
async def waits():
    for call in (coroutine(), thread.aio()):
        try:
            await call
        except TaskTimeout:
            say("left")
    await asyncio.sleep(1)

@flow
def body():
    quick.map(range(50)).results()
    for call in (deaf, thread.submit().result):
        try:
            call()
        except TaskTimeout:
            say("over")
    time.sleep(1)
    say("children", len(children()))

if __name__ == "__main__":
    waits()
    say("closed", children())
""")
    def test_tasks_that_end_in_time_or_handle_their_limit_leave_the_process_alone(self, ended: Ended) -> None:
        self.assertEqual(ended.code, 0, ended.err)
        self.assertEqual([ended.out.count(word) for word in ("left\n", "over\n")], [2, 2], ended.out)
        self.assertIn("closed []", ended.out)
        self.assertIn("children 1", ended.out)

    def test_a_process_that_was_suspended_gets_its_grace_again(self) -> None:
        process = self.start("""
@task(timeout=0.3, timeout_grace=0.5)
def sleeps():
    say("began")
    time.sleep(600)

@flow
def body():
    try:
        sleeps()
    except TaskTimeout:
        say("interrupted")
""")
        self.line(process, "began")
        process.send_signal(signal.SIGSTOP)
        # Longer than the time limit, the grace, the second look and the time for the stack together.
        select.select([], [], [], 6)
        process.send_signal(signal.SIGCONT)
        ended = Ended(process)
        self.assertEqual((ended.code, "interrupted" in ended.out), (0, True), ended.err)

    @script("""
from towpath._internal.watchdog.watchdog import Watchdog, WatchedTry

@flow
def body():
    watchdog = Watchdog(None)
    watched = watchdog.watch(WatchedTry("stuck", "stuck", 1, 100, 100))
    decided, write = os.pipe()
    faulthandler.register(watchdog._guard._signal, file=write)
    os.read(decided, 1)
    watched.end()
    # The guard suspends the process, finds that the try has ended, and lets it go on.
    time.sleep(4)
    watchdog.close()
    say("alive", children())
""")
    def test_a_task_that_ends_while_it_is_judged_goes_on(self, ended: Ended) -> None:
        # The script takes the stack itself, so it knows when the guard has decided.
        self.assertEqual(ended.code, 0, ended.err)
        self.assertIn("alive []", ended.out)

    @script("""
began = threading.Event()

@task(timeout=0.5, timeout_grace=1)
def thread():
    began.set()
    time.sleep(3.5)
    say("cleaned")

@task(timeout=0.5, timeout_grace=1)
async def coroutine():
    began.set()
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        await asyncio.sleep(3.5)
        say("cleaned")

@task
def outer():
    thread.submit()
    began.wait()
    raise ValueError("over")

@task
async def aouter():
    coroutine.submit()
    while not began.is_set():
        await asyncio.sleep(0.01)
    raise ValueError("over")

@flow
def body():
    try:
        outer()
    except ValueError:
        pass

@flow
async def waits():
    try:
        await aouter()
    except ValueError:
        pass

if __name__ == "__main__":
    waits()
    began.clear()
""")
    def test_functions_that_clean_up_after_a_cancellation_get_their_time(self, ended: Ended) -> None:
        self.assertEqual((ended.code, ended.out.count("cleaned")), (0, 2), ended.err)

    @script("""
@task(timeout=600)
def one():
    return children()

@task(timeout=0.2, timeout_grace=0.1)
def stuck():
    holds()

@flow
def body():
    [guard] = one()
    os.kill(guard, signal.SIGKILL)
    until(lambda: open(f"/proc/{guard}/stat").read().rpartition(")")[2].split()[0] == "Z")
    stuck()
""")
    def test_another_guard_starts_when_somebody_has_killed_the_first(self, ended: Ended) -> None:
        self.assert_killed(ended, "stuck", "holds")


@unittest.skipUnless(IS_LINUX, "reads /proc")
class Leaks(Flows):
    def test_it_ends_with_the_process_even_if_a_forked_child_lives_on(self) -> None:
        process = self.start("""
@task(timeout=600)
def forks():
    # Python does not know of this fork, so the child keeps the pipe open.
    libc = ctypes.PyDLL(None)
    forked = libc.fork()
    if forked == 0:
        libc.pause()
    [guard] = [one for one in children() if one != forked]
    say("pids", forked, guard)
    time.sleep(600)

@flow
def body():
    forks()
""")
        forked, guard = map(int, self.line(process, "pids").split())
        self.addCleanup(os.kill, forked, signal.SIGKILL)
        self.assertFalse(is_gone(guard))
        process.kill()
        self.until(lambda: is_gone(guard))
        self.assertFalse(is_gone(forked))

    @script("""
@task(timeout=2, timeout_grace=0.1)
def stuck():
    forked = os.fork()
    if forked == 0:
        return
    os.waitpid(forked, 0)
    holds()

@flow
def body():
    stuck()
""")
    def test_a_forked_child_ends_no_watch_of_its_parent(self, ended: Ended) -> None:
        self.assert_killed(ended, "stuck", "holds")

    @script("""
@task(timeout=600)
def one():
    forked = os.fork()
    if forked == 0:
        for fd in range(3):
            os.close(fd)
        time.sleep(1000)
        os._exit(0)
    [guard] = [pid for pid in children() if pid != forked]
    os.write(1, f"\\npids {forked} {guard}\\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)

@flow
def body():
    one()
""")
    def test_the_guard_ends_with_a_killed_flow_although_a_forked_child_lives(self, ended: Ended) -> None:
        [line] = [line for line in ended.out.splitlines() if line.startswith("pids ")]
        forked, guard = map(int, line.split()[1:])
        try:
            end = time.monotonic() + 30
            while not is_gone(guard) and time.monotonic() < end:
                time.sleep(0.01)
            self.assertTrue(is_gone(guard))
            self.assertFalse(is_gone(forked))
        finally:
            os.kill(forked, signal.SIGKILL)

    @script("""
@task(timeout=600)
def one():
    [guard] = children()
    mine = {os.readlink(f"/proc/self/fd/{fd}") for fd in (3, listening.fileno())}
    files = os.listdir(f"/proc/{guard}/fd")
    theirs = set()
    for fd in files:
        # An interpreter that still starts opens and closes the modules that it imports.
        with contextlib.suppress(FileNotFoundError):
            theirs.add(os.readlink(f"/proc/{guard}/fd/{fd}"))
    say("shared", mine & theirs, os.readlink(f"/proc/{guard}/cwd"), os.getpgid(guard) == guard)

@flow
def body():
    one()

os.dup2(os.open(__file__, os.O_RDONLY), 3, inheritable=True)
listening = socket.socket()
listening.set_inheritable(True)
listening.listen()
""")
    def test_it_keeps_no_file_of_the_flow_open_and_no_signal_to_the_group_reaches_it(self, ended: Ended) -> None:
        self.assertIn("shared set() / True", ended.out, ended.err)

    @script("""
@task(runs_in="process", timeout=600)
def away(x):
    return x + 1

@task(timeout=600)
def runs():
    forked = os.fork()
    if forked == 0:
        os._exit(7)
    _, status = os.waitpid(forked, 0)
    done = subprocess.run([sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"], capture_output=True)
    return os.waitstatus_to_exitcode(status), int(done.stdout) <= 4

@flow
def body():
    say(runs(), away.map([1, 2]).results(), runs())
""")
    def test_subprocesses_and_processes_of_tasks_work_beside_it(self, ended: Ended) -> None:
        self.assertIn("(7, True) [2, 3] (7, True)", ended.out, ended.err)


if __name__ == "__main__":
    unittest.main()
