import type { Invocation } from "./invocation.ts";

/** Whether this command can ask the user. It cannot in a pipe, in a script, or with `--json`. */
export function canAsk({ output }: Invocation): boolean {
  return process.stdin.isTTY === true && output.live;
}

/** Asks yes or no on a terminal. No is preselected. @returns Whether the answer was yes. */
export async function confirmed(message: string): Promise<boolean> {
  const { confirm } = await import("@clack/prompts");
  return (await confirm({ message, initialValue: false })) === true;
}
