import type { AskedWait, Json, Trigger } from "@towpath/contract";
import { type Deps, inTransaction } from "../kernel/index.ts";
import { createIn } from "../runs/index.ts";
import type { Ground } from "./ground.ts";
import { Random } from "./random.ts";

const MINUTE_MS = 60_000;

/** A run that somebody asked for a while ago. */
export interface Open {
  readonly flow: string;
  readonly minutesAgo: number;
  readonly by: string;
  readonly parameters?: { [key: string]: Json };
  readonly tags?: readonly string[];
  /** How many of its stages are done. @default it goes on with its first */
  readonly stagesDone?: number;
  readonly asks?: { readonly name: string; readonly wait: AskedWait };
}

/** Asks for a run, at the time of these dependencies. @returns its id */
export async function ask(
  deps: Deps,
  ground: Ground,
  args: { open: Open; scheduledAt?: string },
): Promise<string> {
  const { workspaceId, nowMs } = ground;
  const atMs = nowMs - args.open.minutesAgo * MINUTE_MS;
  const id = Random.of(
    ground.seed,
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
