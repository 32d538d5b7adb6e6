import { EXIT } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { createRun } from "../runs/create.ts";
import { followRun } from "../runs/follow.ts";
import { exitOfState } from "../runs/outcome.ts";
import type { Stack } from "./stack.ts";

/** Starts the run of `--run` and follows it. @returns The exit code of its outcome. */
export async function runOnce(
  invocation: Invocation,
  args: {
    stack: Stack;
    deployment: string;
    given: readonly string[];
    signal: AbortSignal;
    onCreated?: (runId: string) => void;
  },
): Promise<number> {
  const { output } = invocation;
  const request = { deployment: args.deployment, given: args.given, tags: ["dev"] };
  const run = await createRun(invocation, args.stack.client, request);
  args.onCreated?.(run.id);
  output.line();
  output.line(`${output.style.bold(run.deployment)} ${output.style.dim(run.id)}`);
  const following = followRun(invocation, { client: args.stack.client, runId: run.id, signal: args.signal });
  const ended = await args.stack.children.reduce((promise, child) => child.whileAlive(promise), following);
  return EXIT[exitOfState(ended.state)];
}
