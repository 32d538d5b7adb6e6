import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { REHEARSE_FLOW, RUN_ENDING, RUN_FLOW, type RunFlow } from "@towpath/contract/words";
import { addToEnvironment } from "./config.ts";
import { findPackages } from "./find-packages.ts";
import { reportFailure } from "./report-failure.ts";
import type { RunnerCode, RunnerTask } from "./runner-message.ts";
import { mapStacks } from "./source-maps.ts";

type FlowTask = Extract<RunnerTask, { kind: "flow" }>;

/**
 * Imports a flow's module, unless it is loaded already, and runs the flow that it exports. The flow reports
 * everything itself. If there is no flow to run, the runner reports why.
 * @returns The exit code: 0 if the flow completed or is suspended.
 */
export async function runFlow(task: FlowTask, loaded: RunFlow | null): Promise<number> {
  let run: RunFlow;
  try {
    addToEnvironment(task.env);
    run = loaded ?? (await loadFlow(task));
    const hooks = run[RUN_ENDING];
    if (task.ending !== null) {
      await hooks?.run(task.address, { context: task.context, ending: task.ending });
      return 0;
    }
    if (hooks !== undefined && hooks.handles.length > 0)
      writeFileSync(task.handlesFile, hooks.handles.join(" "), { mode: 0o600 });
  } catch (error) {
    // On stderr too, where Node shows the stack with its source line.
    console.error(error);
    await reportFailure(task.address, error);
    return 1;
  }
  return ["completed", "suspended"].includes(await run(task.address, task.context)) ? 0 : 1;
}

/** Imports a flow's module in its folder and environment. @throws NotAFlow, and whatever the module throws. */
async function loadFlow(code: RunnerCode): Promise<RunFlow> {
  addToEnvironment(code.env);
  process.chdir(code.cwd);
  mapStacks();
  return runFlowOf(await flowOf(code), code);
}

/**
 * Imports a flow's module before there is a task, and lets the flow do once, without a run, what it does at each start.
 * @throws as `loadFlow`.
 */
export async function loadAhead(code: RunnerCode): Promise<RunFlow> {
  const run = await loadFlow(code);
  await run[REHEARSE_FLOW]?.();
  return run;
}

/** The module or export is not what the spec says. */
class NotAFlow extends Error {
  override readonly name = "NotAFlow";
}

/** The flow that a task names, imported. @throws NotAFlow if there is none of that name. */
export async function flowOf({ cwd, module: file, exportName, packages }: RunnerCode): Promise<unknown> {
  if (packages !== null) findPackages({ codeDir: cwd, packages });
  const module: unknown = await import(pathToFileURL(join(cwd, file)).href);
  const flow = isKeyed(module) ? module[exportName] : undefined;
  if (flow !== undefined) return flow;
  throw new NotAFlow(`${file} exports nothing called "${exportName}"; export the flow there.`);
}

function runFlowOf(flow: unknown, code: RunnerCode): RunFlow {
  const run = isKeyed(flow) ? flow[RUN_FLOW] : undefined;
  if (!isRunFlow(run))
    throw new NotAFlow(
      `"${code.exportName}" in ${code.module} is not a flow; create it with flow({ name }, fn).`,
    );
  return run;
}

/** Whether a value may have fields. */
export function isKeyed(value: unknown): value is Record<PropertyKey, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function isRunFlow(value: unknown): value is RunFlow {
  return typeof value === "function";
}
