import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ database: "embedded" });
}, 240_000);
afterAll(() => stack[Symbol.asyncDispose]());

const CLI = fileURLToPath(new URL("../../sdk/cli/src/main.ts", import.meta.url));
const seed = (...args: string[]) => stack.towpath(["demo", "seed", "--small", ...args]);

/** The deployments that the demo's page names. */
function namedByPage(): string[] {
  const page = readFileSync(new URL("../../docs/how-to/demo.md", import.meta.url), "utf8");
  const named = [...page.matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(4);
  return named;
}

/** Seeds with another key and another state folder than the stack's. */
function seedAs(args: { key: string; state: string }) {
  const connection = ["--url", stack.url, "--key", args.key, "--state", args.state];
  const command = [CLI, "demo", "seed", "--small", "--yes", ...connection];
  const { status, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
  return { code: status, output: stderr };
}

test("the demo refuses a control plane whose state folder is not on this machine", async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), "towpath-elsewhere-"));
  const { secret: key } = await stack.client.createKey({
    body: { kind: "api", name: "boss", role: "admin" },
  });
  expect(seedAs({ key, state: elsewhere })).toMatchObject({
    code: 78,
    output: expect.stringContaining(`does not use the state folder ${elsewhere}`),
  });
  await rm(elsewhere, { recursive: true });
});

test("the demo refuses a read-only key", async () => {
  const made = await stack.client.createKey({ body: { kind: "api", name: "reader", role: "viewer" } });
  expect(seedAs({ key: made.secret, state: stack.folder })).toMatchObject({
    code: 77,
    output: expect.stringContaining("has no permission to start runs"),
  });
});

test("the demo fills an empty workspace while its control plane runs", async () => {
  expect(await seed()).toMatchObject({ code: 0, output: expect.stringMatching(/runs in \d+ s/) });
  const { items } = await stack.client.listDeployments({ query: { limit: 200 } });
  expect(items).toHaveLength(14);
  const names = items.map(({ name }) => name);
  for (const name of namedByPage()) expect(names).toContain(name);
  const again = await seed("--yes");
  expect(again).toMatchObject({ code: 65, output: expect.stringContaining("already contains the demo") });
}, 240_000);

test("a person can answer a question of the demo; its run then waits for a worker", async () => {
  const { items } = await stack.client.listRuns({
    query: { state: "suspended", deployment: "quarterly-close", limit: 10 },
  });
  for (const { id } of items) {
    const waits = await stack.client.listWaits({ params: { runId: id } });
    const asked = waits.items.find((wait) => wait.kind === "input" && wait.state === "open");
    if (asked === undefined) continue;
    await stack.client.answerWait({
      params: { runId: id, waitId: asked.id },
      body: { answer: { approve: true } },
    });
    const { state } = await stack.client.getRun({ params: { runId: id } });
    expect(state).toBe("ready");
    return;
  }
  expect.unreachable("no run of the demo asks anything");
});
