import { hashInput } from "../task/input-hash.ts";
import { runTask } from "../task/run-task.ts";
import { callFlow, inputOf, type RunnableFlow } from "./run-flow.ts";
import { type Scope, tracked } from "./scope.ts";

const NEXT = "Pass plain data, or give the class a toJSON().";

/**
 * Runs a flow as a part of the run that calls it: in the same process, as a task run with the path `flow:NAME`, its input
 * validated first. Its tasks stand below it.
 */
export async function runSubflow(scope: Scope, flow: RunnableFlow, parameters: object): Promise<unknown> {
  scope.signal.throwIfAborted();
  const { name } = flow;
  const isGiven = Object.values(parameters).some((value) => value !== undefined);
  const key = isGiven
    ? ({ kind: "hash", hash: hashInput({ what: `Flow "${name}"`, next: NEXT }, [parameters]) } as const)
    : ({ kind: "none" } as const);
  const { path, settled } = scope.calls.name(name, key, "flow");
  const fn = async () => await callFlow(flow, await inputOf(flow, parameters));
  try {
    return await tracked(
      scope,
      runTask({ options: { name, checkpoint: false }, path, scope, args: [parameters], fn, source: flow.fn }),
    );
  } finally {
    settled();
  }
}
