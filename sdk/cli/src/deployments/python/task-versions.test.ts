import { expect, test } from "vitest";
import { describePython } from "./describe.ts";
import { hasPython, pythonProject } from "./project.fixture.ts";

/** Wide: starting a process takes long on a busy machine. */
const LIMIT = { timeout: 120_000 };

test.skipIf(!hasPython)("the versions of tasks follow the code that each reaches", LIMIT, async () => {
  const module = (factor: number) => `from towpath import flow, task
from other import elsewhere
def bend(n): return n * ${factor}
@task
def load(n): return bend(n)
@task
def hold(n): return n
@task(version="7")
def own(n): return bend(n)
@task(name="twice")
def one(n): return 1
@task(name="twice")
def two(n): return 2
@flow
def all(): return load(1)
`;
  const versionsOf = async (factor: number) => {
    const other = "from towpath import task\n@task\ndef elsewhere(): ...\n";
    const apart = "from towpath import flow, task\n@task\ndef alone(): ...\n@flow\ndef apart(): ...\n";
    const files = { "one.py": module(factor), "other.py": other, "apart.py": apart };
    await using folder = await pythonProject(files);
    const flows = [
      { module: "apart.py", function: "apart" },
      { module: "one.py", function: "all" },
    ];
    const described = await describePython(folder.root, { config: null, flows, imports: true });
    return described.flows[1]?.tasks ?? {};
  };
  const before = await versionsOf(10);
  const digits = expect.stringMatching(/^[0-9a-f]{16}$/);
  expect(before).toEqual({ elsewhere: digits, hold: digits, load: digits, own: "7" });
  const after = await versionsOf(100);
  expect(after).toEqual({ ...before, load: digits });
  expect(after.load).not.toBe(before.load);
});
