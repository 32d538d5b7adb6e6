import { RUNNER_MARK } from "./runner-message.ts";

/** The runner's environment. It has the allowed variables from its start and gets those of its task later. */

/** The environment of a command: the runner's and the task's, without the mark by which its processes are found. */
export function commandEnvironment(added: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...withoutMark(added) };
}

/** Adds a task's variables to the runner's own environment, where the flow reads them. */
export function addToEnvironment(added: Readonly<Record<string, string>>): void {
  Object.assign(process.env, withoutMark(added));
}

function withoutMark(added: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(added).filter(([name]) => name !== RUNNER_MARK));
}
