import { mkdir } from "node:fs/promises";
import { identifyProcess, isAlive, ProcessIdentity } from "@towpath/contract/process";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { readJsonFile, readServerFile } from "../kernel/connection.ts";
import { notWritable, type StateFolder, writeWhole } from "../kernel/state-folder.ts";
import type { Child } from "./children.ts";
import { endedWithin, signalProcess } from "./ending.ts";

/** The processes that use a state folder: `towpath dev` and those that it started. */
const DevFile = z.object({
  dev: ProcessIdentity,
  children: z.array(z.object({ name: z.string(), identity: ProcessIdentity })),
});

/** How long a process of an earlier start may take to stop. */
const LEFTOVER_PATIENCE_MS = 10_000;
const HEALTH_TIMEOUT_MS = 2_000;

/** Records our processes, so that the next start finds them if we are killed. */
export async function recordProcesses(folder: StateFolder, children: readonly Child[]): Promise<void> {
  const dev = await identifyProcess(process.pid);
  if (dev === undefined) return;
  const written = { dev, children: children.map(({ name, identity }) => ({ name, identity })) };
  await writeWhole(folder.devFile, `${JSON.stringify(written, null, 2)}\n`);
}

async function isHealthy(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) }).catch(
    () => null,
  );
  return answer?.ok === true;
}

function alreadyRunning(
  folder: StateFolder,
  args: { pid: number; url: string | null; what: string },
): Failure {
  return new Failure(
    `${args.what} is already running with the state folder ${folder.root} (process ${args.pid}).`,
    {
      exit: "configuration",
      code: "already-running",
      next: [
        ...(args.url === null
          ? []
          : [`use it with \`towpath run NAME --watch\`; its address is ${args.url}`]),
        `stop it with Ctrl-C in its terminal, or \`kill ${args.pid}\``,
        "or start a second one with another state folder: --state DIR",
      ],
    },
  );
}

/** Stops one process of an earlier start. */
async function endLeftover(name: string, identity: ProcessIdentity): Promise<void> {
  // A killed worker keeps its runs, and the next worker adopts their processes. SIGTERM would end the runs.
  signalProcess(identity.pid, name === "worker" ? "SIGKILL" : "SIGTERM");
  if (await endedWithin(identity, LEFTOVER_PATIENCE_MS)) return;
  signalProcess(identity.pid, "SIGKILL");
  await endedWithin(identity, LEFTOVER_PATIENCE_MS);
}

/**
 * Takes over the state folder: stops the processes of a killed `towpath dev`. Refuses if another `towpath dev` or control
 * plane uses the folder.
 * @returns The names of the stopped processes.
 */
export async function takeOver(folder: StateFolder): Promise<readonly string[]> {
  await mkdir(folder.root, { recursive: true }).catch((cause: unknown) => {
    throw notWritable(folder.root, cause);
  });
  const [before, server] = await Promise.all([readJsonFile(folder.devFile, DevFile), readServerFile(folder)]);
  if (before && (await isAlive(before.dev)))
    throw alreadyRunning(folder, { pid: before.dev.pid, url: server?.url ?? null, what: "`towpath dev`" });
  const left: string[] = [];
  for (const { name, identity } of before?.children ?? []) {
    if (!(await isAlive(identity))) continue;
    await endLeftover(name, identity);
    left.push(name);
  }
  const stranger = server && (await identifyProcess(server.pid));
  if (server && stranger && (await isHealthy(server.url)))
    throw alreadyRunning(folder, { pid: server.pid, url: server.url, what: "A control plane" });
  await recordProcesses(folder, []);
  return left;
}
