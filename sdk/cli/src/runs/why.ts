import { isFinalRunState } from "@towpath/contract";
import type { Invocation } from "../kernel/invocation.ts";
import { withCommands } from "../output.ts";
import { findRunId } from "./find.ts";
import { describeState } from "./outcome.ts";

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
  if (why.reasons.length === 0)
    output.line(`  ${isFinalRunState(run.state) ? "It has ended." : "Nothing keeps it: it goes on."}`);
  if (why.cycle.length === 0) return;
  output.line(style.red("  These runs wait for each other; none goes until one of them is cancelled:"));
  for (const runId of why.cycle) output.line(`    ${runId}`);
  output.next(`\`towpath runs cancel ${why.cycle[0]}\` lets the others go`);
}
