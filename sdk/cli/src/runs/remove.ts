import { Problem, type RunSummary } from "@towpath/contract";
import { EXIT } from "../failure.ts";
import { confirmedRemoval } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { findRunId } from "./find.ts";
import { describeState } from "./outcome.ts";

/** A run that was removed, or the problem that kept it. */
interface Removed {
  readonly runId: string;
  readonly problem: { readonly code: string; readonly detail: string } | null;
}

/** `towpath runs rm RUN...`. @returns The exit code: not 0 if a run was not removed. */
export async function removeRuns(
  invocation: Invocation,
  request: { runs: readonly string[]; yes: boolean },
): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const runIds: string[] = [];
  for (const text of request.runs) runIds.push(await findRunId(client, text));
  const ids = [...new Set(runIds)];
  if (!request.yes) {
    for (const runId of ids) {
      const run: RunSummary = await client.getRun({ params: { runId } });
      output.line(`  ${run.id}  ${run.deployment}  ${describeState(run, style)}`);
    }
    output.line("Attempts, tasks, logs and artifacts are deleted. The values in your store stay.");
  }
  const what = ids.length === 1 ? `run ${ids[0]}` : `${ids.length} runs`;
  if (!(await confirmedRemoval(invocation, { yes: request.yes, what }))) {
    output.line("Nothing was removed.");
    return EXIT.interrupted;
  }
  const items: Removed[] = [];
  for (const runId of ids) {
    const problem = await client.deleteRun({ params: { runId } }).then(() => null, refusalOf);
    items.push({ runId, problem });
    if (problem === null) output.line(`${style.green("✓")} removed ${runId}`);
    else output.note(`${style.red("✗")} ${printable(problem.detail)}`);
  }
  output.data({ items });
  return items.some(({ problem }) => problem !== null) ? EXIT.invalidInput : EXIT.ok;
}

/** The reason why a run was not removed. @throws what is no refusal of this one run. */
function refusalOf(failure: unknown): Removed["problem"] {
  const kept: readonly string[] = ["run-not-found", "run-transition-not-allowed", "run-in-use"];
  if (!(failure instanceof Problem) || !kept.includes(failure.code)) throw failure;
  const { code, detail } = failure;
  return { code, detail };
}
