import type { AskedWait, Json, Trigger } from "@towpath/contract";
import { type Deps, inTransaction } from "../kernel/index.ts";
import { createIn } from "../runs/index.ts";
import { Random } from "./random.ts";
import type { DemoTarget } from "./target.ts";

const MINUTE_MS = 60_000;

/** A run that a person started a while ago. */
export interface OpenRun {
  readonly flow: string;
  readonly minutesAgo: number;
  readonly by: string;
  readonly parameters?: { [key: string]: Json };
  readonly tags?: readonly string[];
  /** How many stages are completed. @default 0: the first one is running */
  readonly stagesDone?: number;
  readonly asks?: { readonly name: string; readonly wait: AskedWait };
}

/** Creates a run at the time of these dependencies. @returns its id */
export async function createOpenRun(
  deps: Deps,
  target: DemoTarget,
  args: { open: OpenRun; scheduledAt?: string },
): Promise<string> {
  const { workspaceId, nowMs } = target;
  const atMs = nowMs - args.open.minutesAgo * MINUTE_MS;
  const id = Random.of(
    target.seed,
    `${args.open.flow} ${args.open.minutesAgo} ${JSON.stringify(args.open.parameters)}`,
  ).id(atMs);
  const trigger: Trigger = { kind: "person", name: args.open.by };
  const request = {
    id,
    deployment: args.open.flow,
    parameters: args.open.parameters ?? {},
    tags: args.open.tags ?? [],
    scheduledAt: args.scheduledAt,
  };
  return inTransaction(deps, (tx) => createIn(tx, deps, { workspaceId, request, trigger }));
}
