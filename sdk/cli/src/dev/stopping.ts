import { rm } from "node:fs/promises";
import { onStopRequests } from "@towpath/contract/process";
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

/** Listens for Ctrl-C and other stop signals. */
export function untilInterrupted(): Interruption {
  const controller = new AbortController();
  let impatient: () => void = () => process.exit(EXIT.interrupted);
  const release = onStopRequests(
    () => controller.abort(new Error("interrupted")),
    () => impatient(),
    SIGNALS,
  );
  return {
    signal: controller.signal,
    onImpatience(act) {
      impatient = act;
    },
    release,
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
