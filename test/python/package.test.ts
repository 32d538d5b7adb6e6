import { describe, expect, test } from "vitest";
import { hasPython, interpreters } from "./interpreters.ts";
import { ownTests, runIn } from "./own-tests.ts";

/** The one that lacks most. The others are tested by the long suite. */
const oldest = interpreters.slice(0, 1);

describe.skipIf(!hasPython)("the Python package", () => {
  test.each(oldest)("passes its own tests under Python $version", { timeout: 900_000 }, async ({ path }) => {
    await ownTests(path);
  });

  test("has no dependency, and loads none of its modules before they are used", async () => {
    const code =
      'import sys, towpath; print([name for name in sys.modules if name.startswith("towpath.")], "asyncio" in sys.modules)';
    const { output } = await runIn("python3", ["-c", code]);
    expect(output.trim()).toBe("[] False");
  });

  test("has loaded nothing for tables, tensors, classes or versions of code in a process that waits for its task", async () => {
    const code = `import sys
from towpath._internal.engine import run_in_worker
run_in_worker._warm_up()
late = "store.tables store.arrays store.tensors store.shapes code.version code.module".split()
print([name for name in late if f"towpath._internal.{name}" in sys.modules], "towpath._internal.store.codec" in sys.modules)`;
    const { output } = await runIn("python3", ["-c", code]);
    expect(output.trim()).toBe("[] True");
  });
});
