import { isFinalRunState, LIMITS, type Run, reasonText, shellWord, type Worker } from "@towpath/contract";
import { formatAge } from "../kernel/duration.ts";
import { localTimes } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { type Output, printable, withCommands } from "../output.ts";
import { findRunId } from "./find.ts";
import { describeState, explainCause, tellNext } from "./outcome.ts";

/** Explains why a run ended, and the next step. */
export function tellEnd(
  output: Output,
  run: Pick<Run, "id" | "state" | "cause" | "error" | "cancelReason" | "startedAt">,
): void {
  const { error, cause, cancelReason } = run;
  if (error !== null) output.line(`  ${printable(`${error.name}: ${error.message}`)}`);
  const meaning = run.state === "completed" ? "The run completed." : explainCause(cause);
  output.line(`  ${meaning ?? "The run has ended."}`);
  if (run.state === "cancelled" && cancelReason) output.line(`  Reason: ${printable(cancelReason)}`);
  tellNext(output, run);
}

/** Where an undisturbed run is executed, and when its worker last reported. */
export function runningText(
  { attemptList, state }: Pick<Run, "attemptList" | "state">,
  args: { workers: readonly Pick<Worker, "id" | "lastSeenAt">[]; nowMs: number },
): string {
  const worker = attemptList.find(({ endedAt }) => endedAt === null)?.worker;
  if (state !== "running" || !worker) return "Nothing blocks this run.";
  const seen = args.workers.find(({ id }) => id === worker.id)?.lastSeenAt;
  const report = seen === undefined ? "" : `, last seen ${formatAge(seen, args.nowMs)}`;
  return `It runs on worker ${printable(worker.name)}${report}.`;
}

/** `towpath why RUN` */
export async function whyRun(invocation: Invocation, id: string): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const params = { runId: await findRunId(client, id) };
  const why = await client.getRunWhy({ params });
  output.data(why);
  if (output.json) return;
  const run = await client.getRun({ params });
  output.line(`${style.bold(run.deployment)} ${run.id}  ${describeState(run, style)}`);
  for (const reason of why.reasons) output.line(`  ${withCommands(localTimes(reasonText(reason)), style)}`);
  for (const { limit } of why.reasons)
    if (limit?.lacks)
      output.next(
        `\`towpath limit show ${printable(shellWord(limit.name))}${limit.kind === "named" ? "" : ` --kind ${limit.kind}`}\` shows all holders and the wait list`,
      );
  if (isFinalRunState(run.state)) return tellEnd(output, run);
  if (why.reasons.length === 0 && why.cycleText === null) {
    // Workers are listed by when they were last seen, so the first page has a running run's worker.
    const { items } = await client.listWorkers({
      params: { name: run.pool },
      query: { limit: LIMITS.pageRows },
    });
    output.line(`  ${runningText(run, { workers: items, nowMs: invocation.clock.nowMs() })}`);
  }
  if (why.cycleText !== null) output.line(`  ${withCommands(localTimes(why.cycleText), style)}`);
}
