import { describe, expect, test } from "vitest";
import { hasPython, interpreters } from "./interpreters.ts";
import { ownTests } from "./own-tests.ts";

describe.skipIf(!hasPython)("the Python package under the interpreters newer than the oldest", () => {
  test.each(interpreters.slice(1))(
    "passes its own tests under Python $version",
    { timeout: 900_000 },
    async ({ path }) => {
      await ownTests(path);
    },
  );

  test("there is at least one supported interpreter", () => {
    expect(interpreters.length).toBeGreaterThan(0);
  });
});
