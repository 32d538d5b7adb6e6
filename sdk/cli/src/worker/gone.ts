import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@towpath/client";
import { closest, LIMITS, type Worker, type WorkerHold } from "@towpath/contract";
import { EXIT, Failure } from "../failure.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import { formatAge } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { findPool } from "../pools/find.ts";

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

/** The most workers of a pool that are searched. */
const WORKERS_MAX = 10_000;

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
  const worker = await findWorker(client, request);
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

/** All workers of a pool, the last seen first, at most `WORKERS_MAX`. */
async function listAll(client: Client, pool: string): Promise<Worker[]> {
  const found: Worker[] = [];
  let cursor: string | undefined;
  do {
    const query = { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.listWorkers({ params: { name: pool }, query });
    found.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && found.length < WORKERS_MAX);
  return found;
}

/** The worker of this name, or with this id, in the chosen pools. */
async function findWorker(client: Client, { name, pool }: GoneRequest): Promise<Worker> {
  const query = { limit: LIMITS.pageRows };
  const pools =
    pool === undefined ? (await client.listPools({ query })).items : [await findPool(client, pool)];
  const workers = (await Promise.all(pools.map((one) => listAll(client, one.name)))).flat();
  const found = workers.filter((worker) => worker.name === name || worker.id === name);
  const [first, ...others] = found;
  if (first === undefined) {
    const near = closest(
      name,
      workers.map((worker) => worker.name),
    );
    throw new Failure(`There is no worker "${name}"${pool === undefined ? "" : ` in pool "${pool}"`}.`, {
      exit: "notFound",
      code: "worker-not-found",
      next: [...(near === null ? [] : [`did you mean "${near}"?`]), "`towpath worker ls` lists the workers"],
    });
  }
  if (others.length === 0) return first;
  // Of several workers of one name, usually one has runs: the others are earlier ones.
  const holding = found.filter(({ held }) => held > 0);
  const [only] = holding;
  if (holding.length === 1 && only !== undefined) return only;
  throw new Failure(`${found.length} workers have the name "${name}".`, {
    exit: "usage",
    code: "ambiguous",
    next: found
      .slice(0, 5)
      .map(
        ({ id, pool: of, lastSeenAt }) =>
          `\`towpath worker gone ${id}\` is of pool ${of}, last seen ${lastSeenAt}`,
      ),
  });
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
    const workers = await listAll(client, worker.pool);
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
