import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blocksOf, wordOf } from "../docs/blocks.ts";
import { type Stack, startStack } from "../harness/index.ts";

const PAGE = new URL("../../docs/how-to/native-packages.md", import.meta.url);
const blockOf = (title: string) =>
  blocksOf(readFileSync(PAGE, "utf8")).find((block) => wordOf(block, "title") === title)?.text ?? "";
/** The page's task, in a thread too. */
const THREAD = `
export const inThread = task({ name: "in-thread", thread: true }, async () => {
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  return Number((await connection.runAndReadAll("select 6 * 7")).getRows()[0]?.[0]);
});
export const threaded = flow({ name: "threaded" }, async () => {
  log.info(\`in a thread: \${await inThread()}\`);
});
`;

let stack: Stack;
let project: string;

beforeAll(async () => {
  stack = await startStack({ walls: true });
  project = await stack.project({
    "flows/sums.ts": blockOf("flows/sums.ts") + THREAD,
    "package.json": '{ "type": "module", "dependencies": { "@duckdb/node-api": "1.5.6-r.1" } }',
    "towpath.config.ts": blockOf("towpath.config.ts")
      .replace('".towpath/registry"', JSON.stringify(join(stack.folder, "registry")))
      .replace("{ sums }", "{ sums, threaded }")
      .replace("[deployment(sums)]", "[deployment(sums), deployment(threaded)]"),
  });
  // The packages of this repository, which lend `towpath`, lie above those of the project.
  await rename(join(project, "node_modules"), join(dirname(project), "node_modules"));
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: project });
}, 600_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

describe("a flow with DuckDB's native code", () => {
  test("runs through a worker, which installs its packages once", { timeout: 600_000 }, async () => {
    const deployed = await stack.towpath(["deploy", "--project", project]);
    expect(deployed.code, deployed.output).toBe(0);
    const registry = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
    await stack.startWorker({ settings: { npm: { registry } } });
    const runId = await stack.run("sums");
    const run = await stack.waitForRun(runId);
    expect(run, JSON.stringify(run)).toMatchObject({ state: "completed" });
    const lines = JSON.stringify((await stack.client.getLogs({ params: { runId }, query: {} })).entries);
    expect(lines).toContain("the sum is 5050");
    expect(lines).toContain("Installs its npm packages");
    expect(lines).toContain("The packages are ready after");
    const next = await stack.run("threaded");
    expect(await stack.waitForRun(next)).toMatchObject({ state: "completed" });
    const again = JSON.stringify(
      (await stack.client.getLogs({ params: { runId: next }, query: {} })).entries,
    );
    expect(again).toContain("in a thread: 42");
    expect(again).not.toContain("Installs its npm packages");
    expect(await readFile(join(project, "package-lock.json"), "utf8")).toContain("node-bindings");
  });
});
