import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";

const FLOW = `
import { appendFile } from "node:fs/promises";
import { Table, tableFromArrays } from "apache-arrow";
import { ctx, flow, task } from "towpath";
import { z } from "zod";

const load = task({ name: "load" }, async (ledger: string) => {
  await appendFile(ledger, "load\\n");
  return tableFromArrays({ id: [1, 2, 3], name: ["a", "b", "a"] });
});
const count = task({ name: "count" }, async ({ ledger, table }: { ledger: string; table: Table }) => {
  await appendFile(ledger, "count\\n");
  return { isTable: table instanceof Table, rows: table.numRows };
});
export const tables = flow({ name: "tables", input: z.object({ ledger: z.string() }) }, async ({ ledger }) => {
  const table = await load(ledger);
  const counted = await count({ ledger, table });
  if (ctx.attempt === 1) throw new Error("the first attempt");
  await appendFile(ledger, [counted.isTable, counted.rows, table instanceof Table, String(table.get(2))].join(" "));
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { tables } from "./flows/tables.ts";
export default defineConfig({
  project: "tables",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(tables, { retry: { limit: 1, delayMs: 0 } })],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

test("a table of a deployed flow is a table again in the next attempt, and no task runs twice", async () => {
  const home = await stack.project({
    "flows/tables.ts": FLOW,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  await using worker = await stack.startWorker();
  await worker.waitFor(/polling for work/);
  const ledger = join(await stack.workFolder(), "ledger");
  const run = await stack.towpath(["run", "tables", "-p", `ledger=${ledger}`, "--watch"]);
  expect(run.code, run.output).toBe(0);
  expect(await readFile(ledger, "utf8")).toBe('load\ncount\ntrue 3 true {"id": 3, "name": "a"}');
});
