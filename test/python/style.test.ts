import { describe, expect, test } from "vitest";
import { venvWith } from "../components/venv.ts";
import { hasPython } from "./interpreters.ts";
import { runIn } from "./own-tests.ts";

/** Another release may format in another way. */
const RUFF = "ruff==0.17.6";

describe.skipIf(!hasPython)("the code of the Python package", () => {
  test("has no fault that ruff finds, and is formatted", async () => {
    const python = await venvWith([RUFF]);
    const ruff = ["-m", "ruff", "--quiet"];
    expect(await runIn(python, [...ruff, "check", "--no-cache", "."])).toEqual({ code: 0, output: "" });
    const format = [...ruff, "format", "--no-cache", "--diff", "."];
    expect(await runIn(python, format)).toEqual({ code: 0, output: "" });
  });
});
