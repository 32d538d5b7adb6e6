import { describe, expect, test } from "vitest";
import { hasPython, interpreters } from "./interpreters.ts";
import { ownTests, runIn } from "./own-tests.ts";

/** The others are tested by the long suite. */
const outermost = [...new Set([interpreters[0], interpreters.at(-1)])].filter((one) => one !== undefined);

describe.skipIf(!hasPython)("the Python package", () => {
  test.concurrent.each(outermost)(
    "passes its own tests under Python $version",
    { timeout: 900_000 },
    async ({ path }) => {
      await ownTests(path);
    },
  );

  test("has no dependency, and loads none of its modules before they are used", async () => {
    const code =
      'import sys, towpath; print([name for name in sys.modules if name.startswith("towpath.")], "asyncio" in sys.modules)';
    const { output } = await runIn("python3", ["-c", code]);
    expect(output.trim()).toBe("[] False");
  });
});
