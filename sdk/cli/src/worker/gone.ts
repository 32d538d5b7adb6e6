import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@towpath/client";
import type { Worker, WorkerHold } from "@towpath/contract";
import { EXIT, Failure } from "../failure.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import { formatAge } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { findWorker, workersOf } from "./find.ts";

/** The arguments of `towpath worker gone`. */
export interface GoneRequest {
  /** The worker's name or id. */
  readonly name: string;
  /** @default all pools */
  readonly pool: string | undefined;
  /** Does not ask first. */
  readonly yes: boolean;
}

/** How often the command looks whether the runs are lost, milliseconds. */
const LOOK_MS = 1_000;
/** How long it looks, milliseconds: longer than a lease, and than the pause between two polls of a living worker. */
const LOOKS_FOR_MS = 60_000;

const FOLLOWS: Record<NonNullable<WorkerHold["ifLost"]>, string> = {
  retry: "is retried",
  crash: "crashes with the cause `lost`",
  cancel: "is cancelled",
  release: "goes to another worker, because it has not started",
};

/** `towpath worker gone NAME`. @returns The exit code. */
export async function declareGone(invocation: Invocation, request: GoneRequest): Promise<number> {
  const { output } = invocation;
  const client = await invocation.client();
  const worker = await findWorker(client, { ...request, command: "gone", isMeant: isVanished });
  drawWorker(worker, invocation);
  if (!request.yes) {
    if (!canAsk(invocation))
      throw new Failure(`Worker ${worker.name} would be declared gone.`, {
        exit: "usage",
        code: "not-confirmed",
        next: ["add --yes to declare it without a question"],
      });
    output.line("If the machine still runs somewhere, a retried run may run twice at the same time.");
    if (!(await confirmed(invocation, `Is the machine of worker ${worker.name} gone for good?`))) {
      output.line("Nothing was changed.");
      return EXIT.interrupted;
    }
  }
  const params = { name: worker.pool, workerId: worker.id };
  const gone = await client.declareWorkerGone({ params });
  const left = await untilLost(client, { worker: gone, invocation });
  output.data(left);
  return tellResult(left, invocation);
}

/**
 * Whether a worker's machine is gone, if several workers have the name. Earlier workers have no runs. An online one may be the
 * machine that has replaced this one.
 */
export function isVanished({ online, held }: Worker): boolean {
  return !online && held > 0;
}

function drawWorker(worker: Worker, { output, clock }: Invocation): void {
  const { style } = output;
  const seen = formatAge(worker.lastSeenAt, clock.nowMs());
  output.line(`${style.bold(worker.name)} of pool ${worker.pool} was last seen ${seen}.`);
  if (worker.held === 0) {
    output.line("It has no runs.");
    return;
  }
  output.table(
    ["RUN", "DEPLOYMENT", "ATTEMPT", "IF IT IS LOST, THE RUN"],
    worker.holds.map(({ runId, deployment, attempt, ifLost }) => [
      runId,
      deployment,
      String(attempt),
      ifLost === null ? "" : FOLLOWS[ifLost],
    ]),
  );
  const more = worker.held - worker.holds.length;
  if (more > 0) output.line(style.dim(`and ${more} more`));
}

/** Waits until the worker has no attempts, or it has polled again. @returns the worker then. */
async function untilLost(
  client: Client,
  { worker, invocation }: { worker: Worker; invocation: Invocation },
): Promise<Worker> {
  const { output, clock } = invocation;
  const until = clock.nowMs() + LOOKS_FOR_MS;
  let latest = worker;
  if (latest.held > 0)
    output.note("Waiting until the leases have ended, at most 30 s. Ctrl+C stops only the waiting.");
  while (latest.held > 0 && latest.gone !== null && !hasRenewed(latest, worker) && clock.nowMs() < until) {
    await pause(LOOK_MS);
    const workers = await workersOf(client, worker.pool);
    latest = workers.find(({ id }) => id === worker.id) ?? { ...latest, held: 0 };
  }
  return hasRenewed(latest, worker) ? { ...latest, gone: null } : latest;
}

/** Whether a worker has renewed a lease since, so that it is alive. */
function hasRenewed({ holds }: Worker, since: Worker): boolean {
  return holds.some(({ runId, attempt, leaseUntil }) => {
    const before = since.holds.find((one) => one.runId === runId && one.attempt === attempt)?.leaseUntil;
    return leaseUntil !== null && typeof before === "string" && Date.parse(leaseUntil) > Date.parse(before);
  });
}

function tellResult(worker: Worker, { output }: Invocation): number {
  const { style } = output;
  if (worker.gone === null)
    throw new Failure(`Worker ${worker.name} has renewed its leases, so its machine is alive.`, {
      exit: "invalidInput",
      code: "worker-online",
      next: [
        "its running attempts keep their leases",
        "to take it out of service, stop its process with SIGTERM: its runs end or start again elsewhere",
      ],
    });
  if (worker.held > 0)
    throw new Failure(`Worker ${worker.name} still has ${worker.held} runs.`, {
      exit: "invalidInput",
      code: "not-lost-yet",
      next: [
        "the declaration stands: after an outage of the control plane, its runs are lost a little later",
        "`towpath worker ls` shows what it still has",
      ],
    });
  output.line(`${style.green("✓")} worker ${style.bold(worker.name)} is gone, and it has no runs`);
  output.next("`towpath runs ls` shows what became of its runs");
  return EXIT.ok;
}
