import { instantsOf } from "../timing/timing.ts";
import type { BackfillRow } from "./store.ts";

/** The remaining instants of a backfill in its order, Unix times in milliseconds. */
export function* inOrder(
  args: Pick<BackfillRow, "settings" | "from" | "to" | "order" | "skips">,
  after: Date | null,
): Generator<number> {
  const skips = new Set(args.skips);
  for (const at of allInOrder(args, after)) if (!skips.has(at)) yield at;
}

function* allInOrder(args: Pick<BackfillRow, "settings" | "from" | "to" | "order">, after: Date | null) {
  const instants = instantsOf(args.settings);
  const [fromMs, toMs] = [args.from.getTime(), args.to.getTime()];
  if (args.order === "oldest") {
    let at = instants.next(after?.getTime() ?? fromMs - 1);
    for (; at !== null && at < toMs; at = instants.next(at)) yield at;
    return;
  }
  let at = instants.previous(after?.getTime() ?? toMs);
  for (; at !== null && at >= fromMs; at = instants.previous(at)) yield at;
}
