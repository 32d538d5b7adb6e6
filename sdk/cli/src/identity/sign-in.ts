import type { Client } from "@towpath/client";
import type { Invocation } from "../kernel/invocation.ts";
import type { Carry, Root } from "../program.ts";
import { findRunId } from "../runs/find.ts";

/** A link that signs one browser in, once, and opens a page of the dashboard. */
export async function signInLink(client: Client, to: string): Promise<{ link: string; expiresAt: string }> {
  const { url: address, expiresAt } = await client.createSignInLink();
  const url = new URL(address);
  url.searchParams.set("to", to);
  return { link: url.href, expiresAt };
}

/** `towpath open [RUN]`. Only the link goes to stdout, for scripts. */
async function openDashboard(invocation: Invocation, run: string | undefined): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = run === undefined ? "/" : `/runs/${await findRunId(client, run)}`;
  const { link, expiresAt } = await signInLink(client, page);
  output.data({ url: link, expiresAt });
  output.line(link);
  output.note(
    output.style.dim(
      "Open this link in a browser and confirm the sign-in. The link works once, within ten minutes.",
    ),
  );
}

/** Declares `open`. */
export function declareOpen(root: Root, carry: Carry): void {
  root
    .command("open")
    .summary("print a link that opens the dashboard")
    .description(
      "Prints a link that signs a browser in and opens the dashboard or one run's page. The link works once, within ten minutes, with the permissions of the key in use.",
    )
    .argument("[run]", "the run's id, or the start or end of it")
    .addHelpText("after", "\nExamples:\n  $ towpath open\n  $ towpath open 0193a0b1 --json")
    .action((run, _, command) => carry(command, (invocation) => openDashboard(invocation, run)));
}
