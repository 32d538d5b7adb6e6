import type { Checkpoints } from "../checkpoint/checkpoints.ts";
import { Waits } from "../suspend/waits.ts";
import { Endings } from "./endings.ts";
import { Failures } from "./failures.ts";
import type { Host } from "./host.ts";
import { OpenSet } from "./open-set.ts";
import type { ActiveRun } from "./scope.ts";

/** What a run in this process begins with: nothing is open yet. */
export function activeRun(args: {
  readonly flow: string;
  readonly host: Host;
  readonly checkpoints: Checkpoints;
  readonly signal: AbortSignal;
  readonly ended: AbortSignal;
  readonly fail?: (error: unknown) => void;
}): ActiveRun {
  const sets = {
    open: new OpenSet<Promise<unknown>>(),
    elsewhere: new OpenSet<Promise<unknown>>(),
    cleanups: new OpenSet<Promise<unknown>>(),
  };
  return {
    ...args,
    ...sets,
    resources: new Map<object, Promise<unknown>>(),
    endings: new Endings(),
    failures: new Failures(),
    waits: new Waits(args.host, sets),
    whenSuspended: new OpenSet<() => Promise<void>>(),
  };
}
