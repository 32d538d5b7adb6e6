import { EXIT } from "../failure.ts";
import { confirmedRemoval } from "../kernel/confirm.ts";
import { formatAge } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { findWorker } from "./find.ts";

/** `towpath worker rm WORKER`. @returns The exit code. */
export async function removeWorker(
  invocation: Invocation,
  request: { name: string; pool: string | undefined; yes: boolean },
): Promise<number> {
  const { output, clock } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const worker = await findWorker(client, { ...request, command: "rm", isMeant: ({ online }) => !online });
  const { id, pool, lastSeenAt } = worker;
  const name = printable(worker.name);
  const seen = formatAge(lastSeenAt, clock.nowMs());
  const what = `worker ${name} of pool ${pool}, last seen ${seen}`;
  if (!(await confirmedRemoval(invocation, { yes: request.yes, what }))) {
    output.line("Nothing was removed.");
    return EXIT.interrupted;
  }
  await client.deleteWorker({ params: { name: pool, workerId: id } });
  output.data(worker);
  output.line(`${style.green("✓")} removed worker ${style.bold(name)} of pool ${pool}`);
  output.next("if the worker starts again, it registers again; `towpath key revoke ID` keeps it out");
  return EXIT.ok;
}
