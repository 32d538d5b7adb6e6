import { describe, expect, test } from "vitest";
import { hasPython, interpreters } from "./interpreters.ts";
import { runIn } from "./own-tests.ts";

const { TOWPATH_PROPERTY_SEED = "10000", TOWPATH_PROPERTY_FLOWS = "100" } = process.env;

describe.skipIf(!hasPython)("random flows in Python, killed anywhere", () => {
  test.each(interpreters)(
    "run only calls in flight twice, under Python $version",
    { timeout: 1_800_000 },
    async ({ path }) => {
      const args = ["-m", "tests.property_flow", TOWPATH_PROPERTY_SEED, TOWPATH_PROPERTY_FLOWS];
      const { code, output } = await runIn(path, args);
      expect(code, output).toBe(0);
      expect(output).toContain(
        `${TOWPATH_PROPERTY_FLOWS} flows from seed ${TOWPATH_PROPERTY_SEED}, 0 faults`,
      );
    },
  );
});
