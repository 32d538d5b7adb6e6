import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runWith, venvWith } from "./venv.ts";

const PROJECT = fileURLToPath(new URL("../../sdk/examples/python-project", import.meta.url));
const DATA = fileURLToPath(new URL("../../node_modules/vega-datasets/data", import.meta.url));

/** What the project's pyproject.toml names, without the package `towpath`, whose sources are importable. */
async function packages(): Promise<string[]> {
  const text = await readFile(join(PROJECT, "pyproject.toml"), "utf8");
  const list = /^dependencies = \[([^\]]*)\]/m.exec(text)?.[1] ?? "";
  return [...list.matchAll(/"([^"]+)"/g)].flatMap(([, name = ""]) => (name === "towpath" ? [] : [name]));
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-examples-"));
  await cp(PROJECT, folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs Python in a copy of the project. @returns The output. */
async function python(...args: string[]): Promise<string> {
  const tracking = { MLFLOW_TRACKING_URI: `file://${folder}/mlruns`, MLFLOW_ALLOW_FILE_STORE: "true" };
  const options = { cwd: folder, env: { ...tracking, EXAMPLES_DATA: DATA } };
  const { code, output } = await runWith(await venvWith(await packages()), args, options);
  expect(code, output).toBe(0);
  return output;
}

describe("the example project in Python", { timeout: 1_200_000 }, () => {
  test("finds where flights were late", async () => {
    const output = await python("flights.py");
    expect(output).toContain("3,000,000 flights of 229 airports");
    expect(output).toContain("{'late, %': 20.0, 'worst origin': 'JFK', 'its part, %': 29.5}");
  });

  test("tunes a classifier of digits, and MLflow has the scores", async () => {
    const output = await python("digits.py", "folds=3", "strengths=[0.1, 10.0]");
    expect(output).toMatch(/C = 10\.0 recognises 9[56]\.\d % of the digits/);
    const names = `import mlflow; print(sorted(mlflow.search_runs(experiment_names=["digits"])["tags.mlflow.runName"]))`;
    expect(await python("-c", names)).toMatch(/'C=0\.1', 'C=10\.0', '.+'/);
  });

  test("a run that was killed trains only the candidates that it has not scored", async () => {
    const resume = [
      "from digits import digits",
      "from towpath.test import run_flow",
      "given = {'folds': 2, 'strengths': [0.1, 1.0, 10.0, 100.0, 1000.0]}",
      "first = run_flow(digits, given, kill_after='score')",
      "scored = first.executions['score']",
      "second = first.resume()",
      "print(first.outcome, second.outcome, scored < 5, second.executions['score'] <= 6)",
    ].join("\n");
    expect(await python("-c", resume)).toContain("killed completed True True");
  });

  test("runs the notebook on carbon dioxide", async () => {
    const output = await python("co2.py", "ahead=2");
    expect(output).toContain("526 months, 59 weeks without a measure");
    expect(output).toContain("the season has its peak in month 5 and its low in month 10");
    expect(output).toMatch(/expected in December 2003: 37\d\.\d ppm/);
  });

  test("has a configuration with its three deployments", async () => {
    const names = "import towpath_config; print([one.name for one in towpath_config.config.deployments])";
    expect(await python("-c", names)).toContain("['late-flights', 'digits', 'co2']");
  });
});
