import { isFinalRunState, type Run } from "@towpath/contract";
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
  for (const { text } of why.reasons) output.line(`  ${withCommands(text, style)}`);
  for (const { limit } of why.reasons)
    if (limit?.lacks)
      output.next(
        `\`towpath limit show ${limit.name}${limit.kind === "named" ? "" : ` --kind ${limit.kind}`}\` shows all holders and the wait list`,
      );
  if (isFinalRunState(run.state)) return tellEnd(output, run);
  if (why.reasons.length === 0 && why.cycleText === null) output.line("  Nothing blocks this run.");
  if (why.cycleText !== null) output.line(`  ${withCommands(why.cycleText, style)}`);
}
