import { RUNNER_MARK } from "./runner-message.ts";

/** The runner's side of the environment: it has the allowed variables from its start, and learns its task's later. */

/** The environment of a command: the runner's own and the task's, save the mark by which its processes are found. */
export function commandEnvironment(added: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...withoutMark(added) };
}

/** Adds a task's variables to the runner's own environment, where the flow will look for them. */
export function addToEnvironment(added: Readonly<Record<string, string>>): void {
  Object.assign(process.env, withoutMark(added));
}

function withoutMark(added: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(added).filter(([name]) => name !== RUNNER_MARK));
}
