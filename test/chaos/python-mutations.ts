import { cp, mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startProcess } from "../harness/process.ts";

const SDK = fileURLToPath(new URL("../../sdk/python/", import.meta.url));

/** A piece of the Python engine and its broken replacement, and the test that must notice it. */
export interface PythonMutation {
  /** Below the package's `_internal`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** The module in `sdk/python/tests`, and a test in it that must fail. */
  readonly tests: string;
  readonly title: string;
}

/** Guards of the Python engine that a test must miss when they are gone. */
export const PYTHON_MUTATIONS = {
  /** A value is used although its bytes are not the saved ones. */
  valueHash: {
    file: "store/written.py",
    from: "if found is not None and self._is_content(ref, found, is_padded):",
    to: "if found is not None:",
    tests: "test_guards",
    title: "test_a_value_whose_bytes_were_changed_is_not_used",
  },
  /** A pickled value is read with any signature. */
  pickleMac: {
    file: "store/pickled.py",
    from: "return any(hmac.compare_digest(",
    to: "return True or any(hmac.compare_digest(",
    tests: "test_pickle",
    title: "test_another_key_is_refused",
  },
  /** A pickled value is read for any task. */
  pickleOwner: {
    file: "store/pickled.py",
    from: "mac.update(told)",
    to: "",
    tests: "test_pickle",
    title: "test_a_value_that_was_moved_is_refused",
  },
  /** A pickled value of another run is read. */
  pickleOrigin: {
    file: "checkpoint/checkpoints.py",
    from: "origin = self._host.resume.origin",
    to: 'origin = ""',
    tests: "test_pickle",
    title: "test_a_value_of_another_run_is_not_used",
  },
  /** Any ref may say that its value is pickled. */
  pickleOfTask: {
    file: "store/codec.py",
    from: "if codec == PICKLE:",
    to: 'if codec == PICKLE and __import__("pickle").loads(data) is not None:',
    tests: "test_guards",
    title: "test_nothing_but_the_result_of_a_task_is_unpickled",
  },
  /** A map takes all items at once. */
  window: {
    file: "task/map.py",
    from: "or self._in_hand >= self._window",
    to: "",
    tests: "test_engine",
    title: "test_results_come_in_order_and_the_window_is_bounded",
  },
  /** Equal calls get one path. */
  ordinal: {
    file: "task/identity.py",
    from: "ordinal = self._ordinals.get(segment, 0) + 1",
    to: "ordinal = 1",
    tests: "test_identity",
    title: "test_vectors",
  },
  /** Calls that only their order distinguishes may run beside each other. */
  unordered: {
    file: "task/identity.py",
    from: "if before is not None and self._is_by_chance(before, key):",
    to: "if before is None and before is not None:",
    tests: "test_guards",
    title: "test_equal_calls_without_a_key_beside_each_other_are_refused",
  },
  /** `except Exception` swallows a request to stop. */
  cancelled: {
    file: "problem.py",
    from: "class Cancelled(BaseException):",
    to: "class Cancelled(Exception):",
    tests: "test_guards",
    title: "test_a_task_that_catches_every_exception_is_cancelled",
  },
  /** A small file may become a table of any size. */
  parquetSize: {
    file: "store/parquet_limits.py",
    from: "if decoded_bytes > limit_of(data):",
    to: "if decoded_bytes < 0:",
    tests: "test_guards",
    title: "test_a_small_file_that_becomes_a_huge_table_is_refused",
  },
  /** A result is reused although the task's code has changed. */
  codeVersion: {
    file: "checkpoint/earlier.py",
    from: "if self.code_version != code_version:",
    to: "if code_version is None:",
    tests: "test_guards",
    title: "test_a_result_of_other_code_is_not_reused",
  },
  /** A result is reused although the arguments have changed. */
  inputHash: {
    file: "checkpoint/earlier.py",
    from: "return input_hash == self.input_hash",
    to: "return True",
    tests: "test_guards",
    title: "test_a_result_of_other_input_is_not_reused",
  },
} as const satisfies Record<string, PythonMutation>;

/** The name of a mutation. */
export type PythonMutationName = keyof typeof PYTHON_MUTATIONS;

/** How long the tests of a mutation may take, milliseconds. One that never ends has noticed nothing. */
const TESTS_MAX_MS = 120_000;

async function mutatedCopy(name: PythonMutationName, folder: string): Promise<void> {
  const { file, from, to } = PYTHON_MUTATIONS[name];
  await cp(join(SDK, "src"), folder, { recursive: true });
  const path = join(folder, "towpath/_internal", file);
  const source = await readFile(path, "utf8");
  if (source.split(from).length !== 2) throw new Error(`${file} no longer has once what "${name}" removes.`);
  await writeFile(
    path,
    source.replace(from, () => to),
  );
}

async function runTests(folder: string, name: PythonMutationName): Promise<string> {
  await using tests = startProcess({
    command: "python3",
    args: ["-B", "-m", "unittest", `tests.${PYTHON_MUTATIONS[name].tests}`],
    cwd: SDK,
    env: { ...process.env, PYTHONPATH: folder },
  });
  const patience = AbortSignal.timeout(TESTS_MAX_MS);
  const over = new Promise<number>((resolve) =>
    patience.addEventListener("abort", () => resolve(-1), { once: true }),
  );
  const code = await Promise.race([tests.exited, over]);
  return `${tests.output()}\nexit code ${code}`;
}

/** Runs the tests that must fail with a mutation. @returns whether the named one failed, and the output. */
export async function pythonNotices(
  name: PythonMutationName,
): Promise<{ readonly noticed: boolean; readonly output: string }> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "towpath-mutated-"));
  await mutatedCopy(name, folder.path);
  const output = await runTests(folder.path, name);
  const failed = output.split("\n").filter((line) => /^(FAIL|ERROR): /.test(line));
  return { noticed: failed.some((line) => line.includes(PYTHON_MUTATIONS[name].title)), output };
}

/** Runs the same tests without a mutation. @returns whether they pass, and the output. */
export async function pythonPasses(
  name: PythonMutationName,
): Promise<{ readonly passed: boolean; readonly output: string }> {
  const output = await runTests(join(SDK, "src"), name);
  return { passed: output.endsWith("\nexit code 0"), output };
}
