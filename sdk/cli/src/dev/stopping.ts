import { rm } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { EXIT } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import type { Child } from "./children.ts";

/** How long each program may take to stop. The control plane stops its database in that time. */
const PATIENCE_MS = 20_000;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A user's request to stop. */
export interface Interruption {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Calls back at the second. */
  onImpatience(act: () => void): void;
  release(): void;
}

/**
 * One Ctrl-C can arrive twice: from the terminal and from a parent such as npm. A signal counts as the second one only after
 * this time, milliseconds.
 */
const ONE_WISH_MS = 1_000;

/** Listens for Ctrl-C and other stop signals. */
export function untilInterrupted(clock: Clock): Interruption {
  const controller = new AbortController();
  let impatient: () => void = () => process.exit(EXIT.interrupted);
  let firstAtMs = Number.POSITIVE_INFINITY;
  const heard = () => {
    if (!controller.signal.aborted) {
      firstAtMs = clock.nowMs();
      controller.abort(new Error("interrupted"));
    } else if (clock.nowMs() - firstAtMs > ONE_WISH_MS) impatient();
  };
  for (const signal of SIGNALS) process.on(signal, heard);
  return {
    signal: controller.signal,
    onImpatience(act) {
      impatient = act;
    },
    release() {
      for (const signal of SIGNALS) process.off(signal, heard);
    },
  };
}

/** Stops programs in reverse order: the worker, then the control plane with its database. */
export async function closeInOrder(
  invocation: Invocation,
  args: { children: readonly Child[]; folder: StateFolder; interruption: Interruption },
): Promise<void> {
  const { output } = invocation;
  args.interruption.onImpatience(() => {
    for (const child of args.children) child.kill();
    output.note("killed; the next start continues unfinished runs");
    process.exit(EXIT.interrupted);
  });
  const isShown = args.interruption.signal.aborted && args.children.length > 0;
  if (isShown) output.note(output.style.dim("stopping … (press Ctrl-C again to kill)"));
  for (const child of [...args.children].reverse()) await child.stop(PATIENCE_MS);
  await rm(args.folder.devFile, { force: true });
  if (isShown) output.note(output.style.dim("stopped"));
  args.interruption.release();
}
