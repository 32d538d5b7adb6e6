import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { interpreters } from "../python/interpreters.ts";
import { runWith, venvWith } from "./venv.ts";

const TESTS = fileURLToPath(new URL("values_test.py", import.meta.url));
const PACKAGES = ["msgspec", "numpy", "pandas", "polars", "pyarrow", "pydantic", "scikit-learn"];

const outermost = [...new Set([interpreters[0]?.version, interpreters.at(-1)?.version])];

describe("values of data libraries", () => {
  test.each(outermost)(
    "come back equal or are refused under Python %s",
    { timeout: 1_200_000 },
    async (version) => {
      const python = await venvWith(PACKAGES, version === undefined ? {} : { version });
      const { code, output } = await runWith(python, ["-B", TESTS]);
      expect(output).toContain("OK");
      expect(code).toBe(0);
    },
  );
});
