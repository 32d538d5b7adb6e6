import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Fence, uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { type Agent, openAgent } from "../chaos/agent.ts";
import { registerDeployment } from "../harness/register.ts";
import { type Stack, startStack } from "../harness/stack.ts";
import type { Known } from "./document.ts";

/** A control plane with some data, and the keys of its callers. */
export interface Ground extends AsyncDisposable {
  readonly stack: Stack;
  readonly tokens: { readonly apiKey: string; readonly workerKey: string; readonly session: string };
  /** The key of a second worker without attempts, whose polls have nothing to disown. */
  readonly idleSession: string;
  readonly known: Known;
}

/** The name of everything that people name, so that any `name` in a request finds something. */
const NAME = "local";
const RUNS = 12;
const HELD = 4;

/** A proxy that refuses all connections: notifiers with generated addresses reach nobody. */
const NOWHERE = "http://127.0.0.1:9";

const CONTROL_ENV = {
  TOWPATH_RATE_LIMITS: "off",
  TOWPATH_QUOTAS: "off",
  HTTPS_PROXY: NOWHERE,
  HTTP_PROXY: NOWHERE,
};

/** Timings that are hard to compute: rare, far away, or never due. */
const CRONS = ["0 3 * * 1", "0 0 29 2 *", "0 0 31 2 *", "59 23 31 12 7"];
const RULES = [
  "FREQ=MONTHLY;BYDAY=-1FR",
  "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
  "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=1;BYMINUTE=1;BYSECOND=1;INTERVAL=7",
];
const ZONES = ["UTC", "Europe/Berlin", "Pacific/Apia"];

async function furnish({ client }: Stack): Promise<readonly string[]> {
  const params = { name: NAME };
  await client.setQueue({ params, body: { queue: NAME } });
  await client.setLimit({ body: { kind: "named", name: NAME, slots: 5 } });
  await client.setSchedule({
    params,
    body: { name: NAME, timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } },
  });
  await client.createNotifier({ body: { name: NAME, url: "https://notifier.invalid/hook" } });
  const ids = Array.from({ length: RUNS }, () => uuidv7(Date.now()));
  await client.createRuns({ body: { deployment: NAME, runs: ids.map((id) => ({ id, parameters: {} })) } });
  return ids;
}

const at = () => new Date().toISOString();

/** Starts runs and lets one fail, so that there are attempts, lines and outcomes to read. @returns the attempts that are still active */
async function work(agent: Agent): Promise<readonly Fence[]> {
  const { assignments } = await agent.claim({ free: HELD });
  const fences = assignments.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
  for (const fence of fences) {
    const line = { at: at(), stream: "stdout", level: "info", text: "a line" };
    await agent.report(fence, {
      control: [{ type: "started", at: at(), launcher: "warm" }],
      bulk: [{ type: "log", firstLine: 0, lines: [line] }],
    });
  }
  const [failing, ...held] = fences;
  if (failing === undefined) throw new Error("No run was assigned.");
  const ended = {
    type: "ended",
    at: at(),
    outcome: "failed",
    cause: "user-error",
    exitCode: 1,
    lastBulkSeq: 1,
  };
  await agent.report(failing, { control: [ended], from: 2 });
  return held;
}

function knownTo(args: {
  keyId: string;
  workspaceId: string;
  runIds: readonly string[];
  fences: readonly Fence[];
}): Known {
  const names = ["name", "pool", "deployment", "queue", "schedule"];
  const unknown = uuidv7(Date.now());
  return {
    values: {
      ...Object.fromEntries(names.map((one) => [one, [NAME, "unknown"]])),
      keyId: [args.keyId, unknown],
      runId: [...args.runIds, unknown],
      workspaceId: [args.workspaceId, unknown],
    },
    samples: { cron: CRONS, rrule: RULES, zone: ZONES, protocols: [[...WORKER_PROTOCOLS]] },
    fences: [...args.fences, { attemptId: unknown, epoch: 1, nonce: "0".repeat(32) }],
  };
}

/** Starts the control plane on its embedded database and fills a workspace. */
export async function openGround(): Promise<Ground> {
  const stack = await startStack({ database: "embedded", controlEnv: CONTROL_ENV });
  try {
    return await fill(stack);
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

async function fill(stack: Stack): Promise<Ground> {
  const secret = (path: string) => readFile(join(stack.folder, path), "utf8").then((text) => text.trim());
  const [apiKey, workerKey] = [await secret("control/admin.key"), await secret("worker.key")];
  await registerDeployment(stack, { name: NAME, pool: NAME });
  const runIds = await furnish(stack);
  const agent = await openAgent({ url: stack.url, key: workerKey });
  const idle = await openAgent({ url: stack.url, key: workerKey });
  const fences = await work(agent);
  const renewal = setInterval(() => {
    agent.renew(fences).catch(() => {});
  }, agent.session.renewIntervalMs);
  const { workspace } = await stack.client.getMe();
  const { key } = await stack.client.createKey({ body: { kind: "api", name: "unused", role: "viewer" } });
  const known = knownTo({ keyId: key.id, workspaceId: workspace.id, runIds, fences });
  return {
    stack,
    tokens: { apiKey, workerKey, session: agent.session.token },
    idleSession: idle.session.token,
    known,
    async [Symbol.asyncDispose]() {
      clearInterval(renewal);
      await stack[Symbol.asyncDispose]();
    },
  };
}
