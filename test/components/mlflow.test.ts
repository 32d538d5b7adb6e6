import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { pageFolder } from "./page.ts";
import { runWith, venvWith } from "./venv.ts";

const TESTS = fileURLToPath(new URL("mlflow_test.py", import.meta.url));
/** MLflow with a database, without its server. */
const PACKAGES = ["alembic", "mlflow-skinny", "sqlalchemy"];

describe("MLflow", () => {
  test("has one run for each run of a flow", { timeout: 1_200_000 }, async () => {
    const { code, output } = await runWith(await venvWith(PACKAGES), ["-B", TESTS]);
    expect(output).toContain("OK");
    expect(code).toBe(0);
  });

  test("the how-to runs", { timeout: 1_200_000 }, async () => {
    const python = await venvWith(PACKAGES);
    await using page = await pageFolder("docs/how-to/mlflow.md", "mlflow");
    const env = { MLFLOW_TRACKING_URI: `sqlite:///${page.folder}/mlflow.db` };
    expect(page.commands).toHaveLength(1);
    for (const args of page.commands) {
      const { code, output } = await runWith(python, args, { cwd: page.folder, env });
      expect(output).toContain("tune completed in");
      expect(code).toBe(0);
    }
  });
});
