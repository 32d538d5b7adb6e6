import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { newWorkspaceKey } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createTestDatabase,
  findPgBouncer,
  type PgBouncer,
  type Stack,
  startPgBouncer,
  startStack,
} from "../harness/index.ts";
import { deployHeld, heldPid, letGo } from "./fixture.ts";

const program = findPgBouncer();
/** Fewer server connections than one control plane opens to the pooler. */
const CONNECTIONS = 5;

describe.skipIf(program === undefined)("two control planes behind PgBouncer in transaction mode", () => {
  let bouncer: PgBouncer;
  let stack: Stack;
  beforeAll(async () => {
    const database = await createTestDatabase();
    bouncer = await startPgBouncer({ program: program ?? "", url: database.url, connections: CONNECTIONS });
    const controlEnv = {
      DATABASE_URL: bouncer.through(database.url),
      DATABASE_DIRECT_URL: database.url,
      DATABASE_READ_URL: "",
    };
    stack = await startStack({ database, controlEnv });
    await deployHeld(stack);
  });
  afterAll(async () => {
    await stack?.[Symbol.asyncDispose]();
    await bouncer?.[Symbol.asyncDispose]();
  });

  test("a run is created at one, executed through the other, and followed at both", async () => {
    await using other = await stack.startBeside("other").then(({ process, ...beside }) => ({
      ...beside,
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    }));
    const SEAL = newWorkspaceKey();
    await using worker = await stack.startWorker({
      settings: { url: other.url, workspaceKeys: [{ env: "SEAL" }], logs: "stored" },
      env: { SEAL },
    });
    const folder = await mkdtemp(join(stack.folder, "work-"));
    const runId = await stack.run("held", { folder });
    await heldPid(folder);
    const followed = stack.waitForRun(runId);
    await letGo(folder);
    expect(await followed).toMatchObject({ state: "completed", attempts: 1 });
    // The reader asks one process, and the worker polls at the other: the texts pass between them by NOTIFY.
    const isWhole = async () => (await stack.client.getLogs({ params: { runId }, query: {} })).end;
    await expect.poll(isWhole, { timeout: 120_000 }).toBe(true);
    const log = await stack.towpath(["logs", runId], { env: { TOWPATH_WORKSPACE_KEY: SEAL } });
    expect(log).toMatchObject({ code: 0, output: expect.stringContaining("after the hold") });
    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    expect(entries.every((entry) => entry.kind === "gap" || entry.text === "")).toBe(true);
    const { items } = await other.client.listRuns({ query: { limit: 10 } });
    expect(items.map(({ id }) => id)).toEqual([runId]);
    worker.kill("SIGTERM");
    await worker.exited;
  });
});
