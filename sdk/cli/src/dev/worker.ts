import type { Client } from "@towpath/client";
import { LIMITS } from "@towpath/contract";
import type { Project } from "../deployments/project.ts";
import { Failure } from "../failure.ts";
import { environmentKeys } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import { writeWorkerConfig } from "../worker/config-file.ts";
import { type Child, startChild } from "./children.ts";

/** How long the worker may take to reach the control plane. */
const ONLINE_MS = 60_000;
const POLL_MS = 50;

/** The pool of the local worker. */
const LOCAL_POOL = "local";

/** Creates the local pool and starts a worker for it. */
export async function startLocalWorker(
  invocation: Invocation,
  options: { folder: StateFolder; client: Client; url: string; project: Project },
): Promise<Child> {
  const { folder, client, url, project } = options;
  await client.createPool({ body: { name: LOCAL_POOL } });
  const projects = [project];
  const worker = await writeWorkerConfig({
    folder,
    client,
    url,
    pool: LOCAL_POOL,
    projects,
    startedBy: "towpath dev",
    environment: invocation.config.environment,
    workspaceKeys: environmentKeys(invocation.config),
  });
  return startChild({
    name: "worker",
    args: programArguments("worker", "--config", worker.configFile),
    cwd: invocation.cwd,
    log: folder.workerLog,
    environment: invocation.config.environment,
  });
}

async function isOnline(client: Client, sinceMs: number): Promise<boolean> {
  const { items } = await client.listWorkers({
    params: { name: LOCAL_POOL },
    query: { limit: LIMITS.pageRows },
  });
  return items.some((worker) => worker.online && Date.parse(worker.lastSeenAt) >= sinceMs);
}

async function untilOnline(args: { client: Client; sinceMs: number; signal: AbortSignal }): Promise<void> {
  for (let waited = 0; waited < ONLINE_MS; waited += POLL_MS) {
    args.signal.throwIfAborted();
    if (await isOnline(args.client, args.sinceMs)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Failure("The worker did not reach the control plane within a minute.", {
    exit: "failed",
    code: "not-online",
    next: ["read its log in the state folder"],
  });
}

/** Waits until the worker polls for work. @param args.sinceMs The server's time before the worker was started. */
export function awaitWorker(
  child: Child,
  args: { client: Client; sinceMs: number; signal: AbortSignal },
): Promise<void> {
  return child.whileAlive(untilOnline(args));
}
