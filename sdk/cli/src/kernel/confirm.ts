import { Failure } from "../failure.ts";
import type { Invocation } from "./invocation.ts";

/** Whether this command can ask the user. It cannot in a pipe, in a script, or with `--json`. */
export function canAsk({ output }: Invocation): boolean {
  return process.stdin.isTTY === true && output.live;
}

/**
 * Asks on a terminal whether to change something. The question begins with the profile or address and the workspace in use, if the
 * user could mean another one. No is preselected. @returns Whether the answer was yes.
 */
export async function confirmed(invocation: Invocation, message: string): Promise<boolean> {
  const { confirm } = await import("@clack/prompts");
  const target = await invocation.target();
  const question = target === null ? message : `${target}: ${message}`;
  return (await confirm({ message: question, initialValue: false })) === true;
}

/**
 * Asks before something is removed. Without a terminal, the user must give `--yes`.
 * @param args.what what is removed, in the middle of a sentence
 * @returns Whether to remove it.
 * @throws Failure `not-confirmed`
 */
export async function confirmedRemoval(
  invocation: Invocation,
  { yes, what }: { yes: boolean; what: string },
): Promise<boolean> {
  if (yes) return true;
  if (canAsk(invocation)) return await confirmed(invocation, `Remove ${what}?`);
  throw new Failure(`Nothing was removed: ${what} would be.`, {
    exit: "usage",
    code: "not-confirmed",
    next: ["add --yes to remove without a question"],
  });
}
