import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { hasPython } from "./interpreters.ts";
import { runIn } from "./own-tests.ts";

const FOLDER = fileURLToPath(new URL("../../sdk/python/", import.meta.url));
const ALIVE = "tests.test_watchdog_alive.Alive";
const LEAKS = "tests.test_watchdog_alive.Leaks";

/** Pieces of the Python package, their broken replacements, and the test that must fail with each. */
const MUTATIONS = {
  "the watchdog looks again once the process is stopped": {
    file: "watchdog/guard.py",
    from: "if is_open and number in self._tries:",
    to: "if True:",
    by: `${ALIVE}.test_a_task_that_ends_while_it_is_judged_goes_on`,
  },
  "the handler of the signal shows that the main thread is not blocked": {
    file: "task/watched.py",
    from: "cancel.listen(lambda _: when_handled(watch.heard))",
    to: "pass",
    by: `${ALIVE}.test_tasks_that_end_in_time_or_handle_their_limit_leave_the_process_alone`,
  },
  "the event loop shows that it is not blocked": {
    file: "engine/io.py",
    from: "limit.heard()",
    to: "pass",
    by: `${ALIVE}.test_functions_that_clean_up_after_a_cancellation_get_their_time`,
  },
  "another thread shows that the interpreter is not blocked": {
    file: "task/watched.py",
    from: "cancel.listen(heard)",
    to: "pass",
    by: `${ALIVE}.test_functions_that_clean_up_after_a_cancellation_get_their_time`,
  },
  "a suspended process is not judged": {
    file: "watchdog/guard.py",
    from: "if late_s > _LATE_S or self._flow.is_stopped():",
    to: "if late_s > _LATE_S:",
    by: `${ALIVE}.test_a_process_that_was_suspended_gets_its_grace_again`,
  },
  "a killed watchdog is replaced": {
    file: "watchdog/watchdog.py",
    from: "_STARTS_MAX = 3",
    to: "_STARTS_MAX = 1",
    by: `${ALIVE}.test_another_guard_starts_when_somebody_has_killed_the_first`,
  },
  "the watchdog has a session of its own": {
    file: "watchdog/watchdog.py",
    from: "start_new_session=True",
    to: "start_new_session=False",
    by: `${LEAKS}.test_it_keeps_no_file_of_the_flow_open_and_no_signal_to_the_group_reaches_it`,
  },
  "the report comes after the last record of the process": {
    file: "watchdog/guard.py",
    from: "acked is not None and acked == self._acked()",
    to: "acked is not None",
    by: "tests.test_watchdog.Reports",
  },
  "the watchdog has what the process could not send": {
    file: "gateway/sender.py",
    from: "self._copy(line)",
    to: "pass",
    by: "tests.test_watchdog.Reports",
  },
  "the stack is that of the thread of the task": {
    file: "watchdog/stack.py",
    from: "chosen = found.get(thread) or",
    to: "chosen =",
    by: "tests.test_watchdog.Blocked.test_a_thread_that_holds_the_interpreter_is_killed_and_its_own_stack_is_shown",
  },
  "a run fails with what a task has ignored, even if the flow catches it": {
    file: "engine/run_flow.py",
    from: "if run.fatal is not None:",
    to: "if False:",
    by: "tests.test_if_ignored",
  },
} as const;

async function mutated(name: keyof typeof MUTATIONS): Promise<string> {
  const { file, from, to } = MUTATIONS[name];
  const folder = await mkdtemp(join(tmpdir(), "towpath-mutation-"));
  for (const part of ["src", "tests"]) await cp(join(FOLDER, part), join(folder, part), { recursive: true });
  const path = join(folder, "src/towpath/_internal", file);
  const source = await readFile(path, "utf8");
  expect(source).toContain(from);
  await writeFile(path, source.replace(from, to));
  return folder;
}

describe.skipIf(!hasPython)("the Python package's tests notice that a guard is missing", () => {
  test.each(Object.keys(MUTATIONS) as (keyof typeof MUTATIONS)[])("%s", async (name) => {
    const folder = await mutated(name);
    try {
      const args = ["-m", "unittest", MUTATIONS[name].by];
      const { code, output } = await runIn("python3", args, folder);
      expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(/^FAILED \(/m) });
      // An import that fails would fail every test.
      expect(output).not.toMatch(/ImportError|has no attribute 'test_|SyntaxError/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
