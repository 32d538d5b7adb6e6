import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startStack } from "../harness/index.ts";
import { pageBlocks } from "./page-files.ts";
import { machine } from "./shell.ts";

const PAGE = "docs/how-to/seal-a-workspace.md";

test("the page seals a workspace: each command works, and the settings are those of a worker", async () => {
  await using stack = await startStack();
  const folder = await mkdtemp(join(stack.folder, "machine-"));
  const { start, here } = await machine(folder, { "/etc/towpath": folder });
  const TOWPATH_KEY = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const run = async (lines: string, env: NodeJS.ProcessEnv = {}) => {
    await using shell = start(lines, env);
    expect(await shell.exited, `${lines}\n${shell.output()}`).toBe(0);
    return shell.output();
  };
  await run(`towpath login ${stack.url}`, { TOWPATH_KEY });
  const [create = "", store = "", , seal = ""] = pageBlocks(PAGE)
    .filter(({ language }) => language === "sh")
    .map(({ text }) => text);
  const [settings = "", rotated = "", storing = ""] = pageBlocks(PAGE)
    .filter(({ language }) => language === "json")
    .map(({ text }) => here(text));

  await run(create);
  expect(await readFile(join(folder, "workspace.key"), "utf8")).toMatch(/^twp_seal_[\w-]{43}\n$/);
  const worker = await stack.startWorker({ settings: JSON.parse(settings) });
  await worker.waitFor(/"msg":"polling|ready|online/);
  await run(store);
  expect(await run(seal)).toMatch(/is sealed[\s\S]*sealed {5}yes/);
  await expect
    .poll(
      async () => (await stack.client.listWorkers({ params: { name: "local" }, query: {} })).items[0]?.online,
      {
        timeout: 60_000,
      },
    )
    .toBe(true);

  await run("towpath workspace new-key > workspace-2.key");
  const next = await stack.startWorker({ name: "rotated", settings: JSON.parse(rotated) });
  await expect
    .poll(
      async () => (await stack.client.listWorkers({ params: { name: "local" }, query: {} })).items.length,
      {
        timeout: 60_000,
      },
    )
    .toBe(2);
  expect(next.output()).not.toContain("workspace key");

  const stores = await stack.startWorker({ name: "stores", settings: JSON.parse(storing) });
  await stores.waitFor(/ready: polling for work/);
  expect(JSON.parse(storing)).toMatchObject({ logs: "stored" });

  const keyless = await stack.startWorker({ name: "keyless" });
  await keyless.exited;
  expect(keyless.output()).toContain('Add "workspaceKeys"');
});
