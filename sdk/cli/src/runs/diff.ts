import { COMPARED_TASKS_MAX, compareRuns, type TaskDifference, tookMs } from "@towpath/client/run-difference";
import type { Run, TaskRun } from "@towpath/contract";
import { formatDuration } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable, type Style } from "../output.ts";
import { findRunId } from "./find.ts";
import { describeState } from "./outcome.ts";

function row({ label, before, after, differs }: TaskDifference, style: Style): string[] {
  const name = printable(label);
  if (after === null) return [style.red("−"), name, style.red("only in the first run")];
  if (before === null) return [style.green("+"), name, style.green("only in the second run")];
  if (differs.length === 0)
    return ["", name, style.dim(after.reused ? `the same, reused ${reusedEnd(after)}` : "the same")];
  const states = differs.includes("state") ? ` (${before.state} → ${after.state})` : "";
  return [style.yellow("~"), name, `${differs.join(", ")} changed${states}`];
}

/** Whether a call reused a result or a failure. */
function reusedEnd({ state }: TaskRun): string {
  return state === "failed" ? "failure" : "result";
}

function took(task: TaskRun | null): string {
  const ms = task === null ? null : tookMs(task);
  return ms === null ? "" : formatDuration(ms);
}

function runLine(one: Run, style: Style): string {
  return `${one.id}  ${style.bold(one.deployment)} version ${one.version}  ${describeState(one, style)}`;
}

/** `towpath diff A B` */
export async function diffRuns(
  invocation: Invocation,
  ids: { before: string; after: string },
): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const before = await findRunId(client, ids.before);
  const difference = await compareRuns(client, { before, after: await findRunId(client, ids.after) });
  const { parameters, tasks } = difference;
  output.data({ before: difference.before.id, after: difference.after.id, parameters, tasks });
  if (output.json) return;
  output.line(runLine(difference.before, style));
  output.line(runLine(difference.after, style));
  for (const { name, before: old, after: now } of parameters)
    output.line(
      `${style.yellow("~")} ${printable(name)}: ${printable(JSON.stringify(old) ?? "")} → ${printable(JSON.stringify(now) ?? "")}`,
    );
  output.line();
  output.table(
    ["", "TASK", "DIFFERENCE", "FIRST TOOK", "SECOND TOOK"],
    tasks.map((one) => [...row(one, style), took(one.before), took(one.after)]),
  );
  if (difference.isCut)
    output.note(
      `Only the first ${COMPARED_TASKS_MAX.toLocaleString("en-US")} task runs of each run were compared.`,
    );
}
