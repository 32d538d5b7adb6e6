import type { Client } from "@towpath/client";
import { LIMITS, type Run, type TaskRun } from "@towpath/contract";
import type { Invocation } from "../kernel/invocation.ts";
import { printable, type Style } from "../output.ts";
import { diffParameters, diffTasks, type TaskDifference } from "./diff-tasks.ts";
import { findRunId } from "./find.ts";
import { describeState } from "./outcome.ts";

/** The most task runs of each side that are compared. */
const TASKS_MAX = 100_000;

async function allTasks(client: Client, runId: string): Promise<TaskRun[]> {
  const tasks: TaskRun[] = [];
  for (let cursor: string | undefined; tasks.length < TASKS_MAX; ) {
    const query = { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.listTaskRuns({ params: { runId }, query });
    tasks.push(...page.items);
    if (page.next === null) break;
    cursor = page.next;
  }
  return tasks;
}

function row({ label, before, after, differs }: TaskDifference, style: Style): string[] {
  const name = printable(label);
  if (after === null) return [style.red("−"), name, style.red("only in the first")];
  if (before === null) return [style.green("+"), name, style.green("only in the second")];
  if (differs.length === 0)
    return ["", name, style.dim(after.reused ? "the same, reused result" : "the same")];
  const states = differs.includes("state") ? ` (${before.state}, then ${after.state})` : "";
  return [style.yellow("~"), name, `${differs.join(", ")} changed${states}`];
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
  const sides = [];
  for (const id of [ids.before, ids.after]) {
    const runId = await findRunId(client, id);
    sides.push({ run: await client.getRun({ params: { runId } }), tasks: await allTasks(client, runId) });
  }
  const [before, after] = sides;
  if (before === undefined || after === undefined) return;
  const parameters = diffParameters(before.run, after.run);
  const tasks = diffTasks(before.tasks, after.tasks);
  output.data({ before: before.run.id, after: after.run.id, parameters, tasks });
  if (output.json) return;
  output.line(runLine(before.run, style));
  output.line(runLine(after.run, style));
  for (const { name, before: old, after: now } of parameters)
    output.line(
      `${style.yellow("~")} ${printable(name)}: ${printable(JSON.stringify(old) ?? "")} → ${printable(JSON.stringify(now) ?? "")}`,
    );
  output.line();
  output.table(
    ["", "TASK", "DIFFERENCE"],
    tasks.map((one) => row(one, style)),
  );
}
