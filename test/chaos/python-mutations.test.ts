import { describe, expect, test } from "vitest";
import { hasPython } from "../../worker/src/testing/python.fixture.ts";
import {
  PYTHON_MUTATIONS,
  type PythonMutationName,
  pythonNotices,
  pythonPasses,
} from "./python-mutations.ts";

const NAMES = Object.keys(PYTHON_MUTATIONS) as PythonMutationName[];

describe.skipIf(!hasPython)("a guard of the Python engine", { timeout: 300_000 }, () => {
  test.each(NAMES)("%s is missed when it is gone", async (name) => {
    expect(await pythonNotices(name)).toMatchObject({ noticed: true });
  });

  test("is there: without a mutation the same tests pass", async () => {
    const byTests = new Map(NAMES.map((name) => [PYTHON_MUTATIONS[name].tests, name]));
    for (const name of byTests.values()) expect(await pythonPasses(name)).toMatchObject({ passed: true });
  });
});
