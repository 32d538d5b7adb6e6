import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { RUN_FLOW, type RunFlow } from "@towpath/contract/words";
import { addToEnvironment } from "./config.ts";
import { reportFailure } from "./report-failure.ts";
import type { RunnerTask } from "./runner-message.ts";
import { mapStacks } from "./source-maps.ts";

type FlowTask = Extract<RunnerTask, { kind: "flow" }>;

/**
 * Imports a flow's module and runs the flow it exports. The flow reports everything itself; only when there is
 * no flow to run does the runner report why.
 * @returns The exit code: 0 if the flow completed, or is suspended.
 */
export async function runFlow(task: FlowTask): Promise<number> {
  addToEnvironment(task.env);
  process.chdir(task.cwd);
  mapStacks();
  let run: RunFlow;
  try {
    run = runFlowOf(await flowOf(task), task);
  } catch (error) {
    // On stderr too, where the stack is shown as Node shows it, with the source line.
    console.error(error);
    await reportFailure(task.address, error);
    return 1;
  }
  return ["completed", "suspended"].includes(await run(task.address, task.context)) ? 0 : 1;
}

/** The module or export is not what the spec says. */
class NotAFlow extends Error {
  override readonly name = "NotAFlow";
}

/** The flow that a task names, imported. @throws NotAFlow if there is none of that name. */
export async function flowOf({
  cwd,
  module: file,
  exportName,
}: Pick<FlowTask, "cwd" | "module" | "exportName">): Promise<unknown> {
  const module: unknown = await import(pathToFileURL(join(cwd, file)).href);
  const flow = isKeyed(module) ? module[exportName] : undefined;
  if (flow !== undefined) return flow;
  throw new NotAFlow(`${file} exports nothing called "${exportName}"; export the flow there.`);
}

function runFlowOf(flow: unknown, task: FlowTask): RunFlow {
  const run = isKeyed(flow) ? flow[RUN_FLOW] : undefined;
  if (!isRunFlow(run))
    throw new NotAFlow(
      `"${task.exportName}" in ${task.module} is not a flow; make it with flow({ name }, fn).`,
    );
  return run;
}

/** Whether something may have fields. */
export function isKeyed(value: unknown): value is Record<PropertyKey, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function isRunFlow(value: unknown): value is RunFlow {
  return typeof value === "function";
}
