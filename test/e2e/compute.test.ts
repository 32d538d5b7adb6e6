import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";

let stack: Stack;
let sample: TestProcess;

/** Writes down when it gets and releases a device, and holds the device until a file appears. */
const FLOW = `
import { access, appendFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow } from "towpath";
import { z } from "zod";

const input = z.object({ ledger: z.string(), name: z.string(), go: z.string().optional() });
const hold = async ({ ledger, name, go }: z.output<typeof input>) => {
  const note = (what: string) =>
    appendFile(ledger, [what, name, process.env.CUDA_VISIBLE_DEVICES, process.pid].join(" ") + "\\n");
  await note("has");
  while (go !== undefined && !(await access(go).then(() => true, () => false))) await pause(20);
  await pause(40);
  await note("gives");
};
export const one = flow({ name: "one", input, compute: { gpu: { count: 1, kind: "a100" } } }, hold);
export const all = flow({ name: "all", input, compute: { gpu: 3 } }, hold);
export const none = flow({ name: "none", input }, hold);
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { all, none, one } from "./flows.ts";
export default defineConfig({
  project: "gpus", pool: "local", registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(one), deployment(all), deployment(none),
    deployment(one, { name: "vast", compute: { gpu: { count: 9, kind: "a100" } } })],
});
`;

const gpusOf = (name: string) => [1, 2, 3].map((n) => ({ id: `${name}-${n}`, kind: "a100" }));
const startWorker = (name: string) =>
  stack.startWorker({ name, settings: { capacity: 8, compute: { gpus: gpusOf(name) } } });

beforeAll(async () => {
  stack = await startStack();
  const home = await stack.project({
    "flows.ts": FLOW,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  sample = await startWorker("sample");
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** The flows' notes, in order. Each note is appended in one write. */
async function ledger(path: string) {
  const text = existsSync(path) ? await readFile(path, "utf8") : "";
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [what = "", name = "", devices = "", pid = ""] = line.split(" ");
      return { what, name, devices: devices.split(",").filter((id) => id !== ""), pid };
    });
}

/** Whether two runs ever had the same device at the same time. */
function overlaps(notes: Awaited<ReturnType<typeof ledger>>): string[] {
  const held = new Map<string, string>();
  return notes.flatMap(({ what, name, devices }) =>
    devices.flatMap((id) => {
      const holder = held.get(id);
      if (what === "gives") held.delete(id);
      else held.set(id, name);
      return what === "has" && holder !== undefined ? [`${id}: ${holder} and ${name}`] : [];
    }),
  );
}

const run = (deployment: string, args: { ledger: string; name: string; go?: string }) =>
  stack.run(deployment, args);

test("no two runs share a device, through kill -9 of a worker with devices and of a control plane", async () => {
  const path = join(stack.folder, "ledger");
  const go = join(stack.folder, "go");
  const [held, free] = [
    await run("one", { ledger: path, name: "held", go }),
    await run("none", { ledger: path, name: "free" }),
  ];
  await stack.waitForRun(free);
  await expect
    .poll(async () => (await ledger(path)).some((note) => note.name === "held"), { timeout: 60_000 })
    .toBe(true);
  expect((await ledger(path)).find((note) => note.name === "free")?.devices).toEqual([]);

  const ids = await Promise.all(
    Array.from({ length: 12 }, (_, index) => run("one", { ledger: path, name: `r${index}` })),
  );
  const big = await run("all", { ledger: path, name: "big" });
  // Both die while claims, starts and ends of these runs are under way.
  stack.control.kill("SIGKILL");
  await stack.control.exited;
  sample.kill("SIGKILL");
  await sample.exited;
  await stack.restartControl();
  sample = await startWorker("sample");
  for (const id of ids) expect(await stack.waitForRun(id)).toMatchObject({ state: "completed" });

  // The process that outlived its worker still has its device: a run that needs all devices waits, and says for which run.
  const why = await stack.client.getRunWhy({ params: { runId: big } });
  expect(why.reasons.map((one) => one.text).join()).toContain(held);
  await writeFile(go, "");
  for (const id of [held, big]) expect(await stack.waitForRun(id)).toMatchObject({ state: "completed" });

  const notes = await ledger(path);
  expect(overlaps(notes)).toEqual([]);
  expect(notes.find((note) => note.name === "big")?.devices.toSorted()).toEqual([
    "sample-1",
    "sample-2",
    "sample-3",
  ]);
  expect(notes.filter((note) => note.name === "held")).toHaveLength(2);
  const [{ taken } = { taken: null }] = (
    await stack.client.listWorkers({ params: { name: "local" }, query: { limit: 1 } })
  ).items;
  expect(taken).toEqual({});
});

test("a request that no worker can ever satisfy is reported at deploy, at run, and on the run", async () => {
  const path = join(stack.folder, "never");
  const id = await run("vast", { ledger: path, name: "vast" });
  const text = 'needs 9 × a100; the workers of pool "local" have at most 3';
  expect((await stack.client.getRun({ params: { runId: id } })).why).toContain(text);
  expect((await stack.towpath(["why", id])).output).toContain(text);
  const asked = await stack.towpath(["run", "vast", "-p", `ledger=${path}`, "-p", "name=vast"]);
  expect(asked.output).toContain(text);
  const listed = await stack.towpath(["worker", "ls", "local"]);
  expect(listed.output).toContain("0 of 3 a100");
  // It reserves nothing that other runs could use.
  const small = await run("one", { ledger: path, name: "small" });
  expect(await stack.waitForRun(small)).toMatchObject({ state: "completed" });
});
