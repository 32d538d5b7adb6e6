import { Id, parseDuration } from "@towpath/contract";
import { openObjects, type Pruned, pruneStore } from "towpath/store";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { workerStore } from "./worker-store.ts";

/** What is asked for with `towpath store prune`. */
export interface PruneOptions {
  readonly olderThan: string;
  readonly run: string | undefined;
  /** The store's name. Undefined: the one without. */
  readonly store?: string | undefined;
  readonly config: string | undefined;
  readonly pool: string | undefined;
  readonly dryRun: boolean;
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const STEP = 1024;

/** A size in the unit that people read. */
function sizeText(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log(bytes) / Math.log(STEP)));
  const value = bytes / STEP ** unit;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

function count(value: number, one: string): string {
  return `${value} ${one}${value === 1 ? "" : "s"}`;
}

/** What was removed, in a sentence. */
export function prunedText({ runs, objects, sizeBytes }: Pruned, dryRun: boolean): string {
  if (objects === 0) return "There is nothing to remove.";
  const what = `${count(objects, "object")} of ${count(runs, "run")} and of what runs share, ${sizeText(sizeBytes)}`;
  return dryRun ? `Would remove ${what}.` : `Removed ${what}.`;
}

function ageOf(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  throw new Failure(`"${text}" is no age.`, { exit: "usage", next: ["write it as 30d, 12h or 2w"] });
}

function runOf(text: string | undefined): string | undefined {
  if (text === undefined || Id.safeParse(text).success) return text;
  throw new Failure(`"${text}" is not a run's id.`, {
    exit: "usage",
    next: ["give all of it: nobody is asked over the network"],
  });
}

/** `towpath store prune` */
export async function pruneWorkerStore(invocation: Invocation, options: PruneOptions): Promise<void> {
  const { output, clock } = invocation;
  const { dryRun } = options;
  const beforeMs = clock.nowMs() - ageOf(options.olderThan);
  const runId = runOf(options.run);
  const store = await workerStore(invocation, options);
  const pruned = await pruneStore(await openObjects(store), { beforeMs, runId, dryRun });
  output.data({ ...pruned, root: store.root, dryRun });
  output.line(`${store.root}: ${prunedText(pruned, dryRun)}`);
}
