import { formatAge } from "../kernel/duration.ts";
import { instantText } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { Carry, Root } from "../program.ts";

/** `towpath sessions ls` */
async function listSessions(invocation: Invocation): Promise<void> {
  const { output, clock } = invocation;
  const found = await (await invocation.client()).listSessions();
  output.data(found);
  if (found.items.length === 0)
    return output.next("no browser is signed in; `towpath open` prints a link that signs one in");
  const now = clock.nowMs();
  output.table(
    ["ID", "KEY", "SIGNED IN", "UNTIL"],
    found.items.map(({ id, key, createdAt, expiresAt }) => [
      id,
      key.name,
      formatAge(createdAt, now),
      instantText(expiresAt, now),
    ]),
  );
}

/** `towpath sessions rm ID` */
async function endSession(invocation: Invocation, sessionId: string): Promise<void> {
  const { output } = invocation;
  await (await invocation.client()).endSession({ params: { sessionId } });
  output.data({ ended: sessionId });
  output.line(`${output.style.green("✓")} signed out ${sessionId}`);
}

/** Declares `sessions`. */
export function declareSessions(root: Root, carry: Carry): void {
  const sessions = root
    .command("sessions")
    .summary("list signed-in browsers and sign them out")
    .description(
      "Lists signed-in browsers and signs them out: for an admin all of the workspace, else those of the key in use.",
    );
  sessions
    .command("ls")
    .description("Lists signed-in browsers, newest first.")
    .action((_, command) => carry(command, listSessions));
  sessions
    .command("rm")
    .description("Signs a browser out.")
    .argument("<id>", "the session's id, from `towpath sessions ls`")
    .action((id, _, command) => carry(command, (invocation) => endSession(invocation, id)));
}
