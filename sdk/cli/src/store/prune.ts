import { Option } from "@commander-js/extra-typings";
import { Id, parseDuration } from "@towpath/contract";
import { openObjects, type Pruned, pruneStore, StoreFault } from "towpath/store";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { Carry, Root } from "../program.ts";
import { type DeletionReport, deleteRefs, type Listener, listenerOf } from "./tell.ts";
import { workerStore } from "./worker-store.ts";

/** What a run leaves: values in the store, and their refs on the control plane. */
export const SIDES = ["store", "refs"] as const;

/** The arguments of `towpath store prune`. */
export interface PruneOptions {
  readonly olderThan: string | undefined;
  readonly run: string | undefined;
  /** Only one of them. Undefined: both. */
  readonly only: (typeof SIDES)[number] | undefined;
  /** The store's name. Undefined: the default store. */
  readonly store?: string | undefined;
  readonly config: string | undefined;
  readonly pool: string | undefined;
  readonly dryRun: boolean;
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const STEP = 1024;

/** A size in a readable unit. */
function sizeText(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log(bytes) / Math.log(STEP)));
  const value = bytes / STEP ** unit;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

function count(value: number, one: string): string {
  return `${value} ${one}${value === 1 ? "" : "s"}`;
}

/** A sentence about the removed values. @param isOne Whether only one run was asked for. */
export function prunedText({ runs, objects, sizeBytes }: Pruned, dryRun: boolean, isOne = false): string {
  if (objects === 0) return "There is nothing to delete.";
  const what = `${count(objects, "object")} of ${count(runs, "run")}${isOne ? "" : " and of shared results"}, ${sizeText(sizeBytes)}`;
  return dryRun ? `Would delete ${what}.` : `Deleted ${what}.`;
}

function ageOf(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  throw new Failure(`"${text}" is not an age.`, { exit: "usage", next: ["write it as 30d, 12h or 2w"] });
}

function runOf(text: string | undefined): string | undefined {
  if (text === undefined || Id.safeParse(text).success) return text;
  throw new Failure(`"${text}" is not a run's id.`, {
    exit: "usage",
    next: ["give the whole id"],
  });
}

/** Runs without a write since then. A single named run is chosen at any age if no age is given. */
function beforeOf(args: PruneOptions, nowMs: number): number {
  if (args.olderThan !== undefined) return nowMs - ageOf(args.olderThan);
  if (args.run !== undefined) return Number.MAX_SAFE_INTEGER;
  throw new Failure("No runs were chosen.", {
    exit: "usage",
    next: ["give an age, `--older-than 30d`, or a run, `--run RUN`, or both"],
  });
}

/** Sentences about the deleted refs. */
export function toldLines(told: DeletionReport | null, why: string | null): string[] {
  if (told === null)
    return why === null
      ? []
      : [
          `The refs on the control plane were not deleted: ${why}. A rerun runs tasks again whose values are missing.`,
        ];
  const refs = `${told.url}: deleted ${count(told.refs, "ref")} of ${count(told.runs, "run")}.`;
  const live = told.live.length;
  if (live === 0) return [refs];
  const named = told.live.slice(0, 5).join(", ");
  const who = live === 1 ? "1 run that has" : `${live} runs that have`;
  return [refs, `Kept the values of ${who} not ended (${named}${live > 5 ? ", …" : ""}).`];
}

function ofStore(thrown: unknown): never {
  if (!(thrown instanceof StoreFault)) throw thrown;
  const { message, next, code } = thrown;
  throw new Failure(next === null ? message : message.replace(` ${next}`, ""), {
    exit: "configuration",
    code,
    cause: thrown,
    next: [
      next ?? "check the store's root in the worker's configuration",
      "`towpath doctor --config FILE` tries it",
    ],
  });
}

async function deleteRefsAlone(invocation: Invocation, options: PruneOptions): Promise<void> {
  const { output } = invocation;
  const runId = runOf(options.run);
  if (runId === undefined || options.olderThan !== undefined)
    throw new Failure("With `--only refs` exactly one run must be chosen.", {
      exit: "usage",
      next: [
        "choose it with `--run RUN`, without an age",
        "to delete refs by age, set TOWPATH_CHECKPOINT_RETENTION_MS on the control plane",
      ],
    });
  const connection = await invocation.connect();
  const told: DeletionReport = { url: connection.url, refs: 0, runs: 0, live: [] };
  if (!options.dryRun) await deleteRefs(connection, [runId], told);
  output.data({ told, dryRun: options.dryRun });
  const lines = options.dryRun
    ? [`Would delete the refs of run ${runId} at ${told.url}.`]
    : toldLines(told, null);
  for (const line of lines) output.line(line);
}

/** The control plane whose refs are deleted, if any: none for a dry run or if only the store is chosen. */
async function listener(
  invocation: Invocation,
  args: PruneOptions,
  workerUrl: string | undefined,
): Promise<Listener> {
  if (args.dryRun) return { connection: null, why: null };
  if (args.only === "store") return { connection: null, why: "--only store was given" };
  return await listenerOf(invocation, workerUrl);
}

/** `towpath store prune` */
export async function pruneWorkerStore(invocation: Invocation, options: PruneOptions): Promise<void> {
  if (options.only === "refs") return await deleteRefsAlone(invocation, options);
  const { output, clock } = invocation;
  const { dryRun } = options;
  const beforeMs = beforeOf(options, clock.nowMs());
  const runId = runOf(options.run);
  const { store, url } = await workerStore(invocation, options);
  const { connection, why } = await listener(invocation, options, url);
  const told: DeletionReport | null = connection && { url: connection.url, refs: 0, runs: 0, live: [] };
  const release =
    connection === null || told === null
      ? undefined
      : (runIds: readonly string[]) =>
          // A named run may have refs although its values are gone.
          deleteRefs(connection, runIds.length === 0 && runId !== undefined ? [runId] : runIds, told);
  const pruned = await openObjects(store)
    .then((objects) => pruneStore(objects, { beforeMs, runId, dryRun, release }))
    .catch(ofStore);
  output.data({ ...pruned, root: store.root, told, dryRun });
  output.line(`${store.root}: ${prunedText(pruned, dryRun, runId !== undefined)}`);
  for (const line of toldLines(told, why)) output.line(line);
}

/** Declares `store`. */
export function declareStore(root: Root, carry: Carry): void {
  root
    .command("store")
    .summary("delete old values from a worker's store")
    .description("Manages the store in which a worker's flows keep their values.")
    .command("prune")
    .description(
      "Deletes values of runs that have been idle longer than the given age: results of tasks and flows, and saved values. A run's values are deleted together. Results that several runs share are deleted by their own age. If this machine has a key for the worker's control plane, the refs there are deleted first, so that a rerun's plan is right, and runs that have not ended are kept. Without a key only the store is changed, and the command says so.",
    )
    .option("--older-than <age>", "delete values of runs that have been idle for longer, such as 30d")
    .option("--run <run>", "delete only values of this run, by its whole id; without --older-than at any age")
    .addOption(
      new Option(
        "--only <side>",
        "delete only the values in the store, or only one run's refs on the control plane",
      ).choices(SIDES),
    )
    .option("--store <name>", "use the store of this name in the worker's configuration")
    .option("--dry-run", "count what would be deleted, and delete nothing")
    .option("--pool <name>", "choose the state folder's worker of this pool")
    .option("--config <file>", "use this worker configuration")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath store prune --older-than 30d --dry-run\n  $ towpath store prune --run 0193a0b1-7c00-7000-8000-000000000001\n  $ towpath store prune --older-than 2w --config /etc/towpath/worker.json",
    )
    .action(({ olderThan, run, only, store, dryRun, pool, config }, command) =>
      carry(command, (invocation) =>
        pruneWorkerStore(invocation, { olderThan, run, only, store, pool, config, dryRun: dryRun === true }),
      ),
    );
}
