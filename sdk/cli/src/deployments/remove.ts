import { EXIT } from "../failure.ts";
import { confirmedRemoval } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { findDeployment } from "./find.ts";
import { schedulesOf } from "./inspect.ts";

/** The schedules that go with a deployment, as the start of a sentence. */
function goneText(schedules: number): string {
  if (schedules === 0) return "Its limit is";
  return schedules === 1 ? "Its schedule and its limit are" : `Its ${schedules} schedules and its limit are`;
}

/** `towpath deployments rm NAME`. @returns The exit code. */
export async function removeDeployment(
  invocation: Invocation,
  request: { name: string; yes: boolean },
): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const deployment = await findDeployment(client, request.name);
  const { name, latest } = deployment;
  if (!request.yes) {
    const schedules = await schedulesOf(client, { deployment: name });
    output.line(
      `${goneText(schedules.length)} deleted. Its runs stay until the end of their retention, and notifiers stay.`,
    );
  }
  if (!(await confirmedRemoval(invocation, { yes: request.yes, what: `deployment ${name}` }))) {
    output.line("Nothing was removed.");
    return EXIT.interrupted;
  }
  await client.deleteDeployment({ params: { name } });
  output.data(deployment);
  output.line(`${style.green("✓")} removed ${style.bold(name)}`);
  output.next(`\`towpath deploy\` registers it again, as v${latest.version + 1}`);
  return EXIT.ok;
}
