import type { Claimed } from "@towpath/contract";
import { type Deps, failpoint, type WorkerScope } from "../../kernel/index.ts";
import { type FenceOf, sameFence } from "../../runs/index.ts";
import { claim, type Dispatchers, type Poll } from "./poll.ts";

/**
 * Asks for work for a worker that reports: a poll which does not wait for any. It goes beside the report, since what is free on
 * a worker is its own word: waiting until the ends are stored would be a third statement in a row for each run (`agents`).
 * @param args.ending what the report says has ended: whether that is stored by now or not, the worker has it no longer.
 * @returns null if that failed. What was reported is stored all the same, and the worker's next poll is told why.
 */
export async function claimNext(
  deps: Deps,
  args: {
    worker: WorkerScope;
    next: Omit<Poll, "waitMs" | "brief" | "ending">;
    ending: readonly FenceOf[];
    dispatchers: Dispatchers;
  },
): Promise<Claimed | null> {
  const { worker, dispatchers, ending } = args;
  dispatchers.ended(
    worker,
    ending.map(({ attemptId }) => attemptId),
  );
  const held = args.next.held.filter((fence) => !ending.some((one) => sameFence(one, fence)));
  const poll = { ...args.next, held, ending, waitMs: 0, brief: true };
  const claimed = await claim(deps, { worker, poll, dispatchers, signal: null }).catch((error: unknown) => {
    deps.log.warn({ err: error, worker: worker.workerId }, "no work could be looked for with a report");
    return null;
  });
  if (claimed !== null && claimed.assignments.length > 0) failpoint("claim");
  return claimed;
}
