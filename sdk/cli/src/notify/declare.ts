import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { NOTIFIER_EVENTS, NOTIFIER_KINDS, parseDuration } from "@towpath/contract";
import type { Carry, Root } from "../program.ts";
import { addNotifier, listDeliveries, listNotifiers, removeNotifier, testNotifier } from "./commands.ts";

type NotifierEvent = (typeof NOTIFIER_EVENTS)[number];

/** A list of events of an option: `failure,late`. */
function eventsOf(text: string): NotifierEvent[] {
  return text.split(",").map((part) => {
    const found = NOTIFIER_EVENTS.find((event) => event === part.trim());
    if (found === undefined) throw new InvalidArgumentError(`Choose of ${NOTIFIER_EVENTS.join(", ")}.`);
    return found;
  });
}

function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new InvalidArgumentError("Write it as 30s, 5m or 1h.");
  return ms;
}

/** Declares `notify`. */
export function declareNotify(root: Root, carry: Carry): void {
  const notify = root
    .command("notify")
    .summary("tell an address of failures, late runs and recoveries")
    .description(
      "A notifier is an address that the control plane tells when a run fails, has not begun in time, or succeeds again.",
    );
  notify
    .command("add")
    .description("Tells an address from now on. It is not shown again: it may hold a secret.")
    .argument("<name>", "what to call it: lower-case letters, digits, - and _")
    .argument("<url>", "an https address")
    .addOption(
      new Option("--kind <kind>", "JSON of our own, signed, or what Slack shows")
        .choices(NOTIFIER_KINDS)
        .default("webhook" as const),
    )
    .option("--deployment <name>", "of this deployment alone; else of all")
    .addOption(
      new Option("--on <events>", "failure, late and recovery, with commas between")
        .argParser(eventsOf)
        .default([...NOTIFIER_EVENTS] as NotifierEvent[], "all"),
    )
    .addOption(
      new Option("--late-after <duration>", "how long after it was due a run that has not begun is late")
        .argParser(durationOf)
        .default(5 * 60_000, "5m"),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath notify add oncall https://hooks.example.com/towpath\n  $ towpath notify add team https://hooks.slack.com/services/T0/B0/X --kind slack --on failure,recovery",
    )
    .action((name, url, { kind, deployment, on, lateAfter }, command) =>
      carry(command, (invocation) =>
        addNotifier(invocation, {
          name,
          url,
          kind,
          events: on,
          lateAfterMs: lateAfter,
          deployment: deployment ?? null,
        }),
      ),
    );
  notify
    .command("ls")
    .alias("list")
    .description("Lists notifiers with what became of their latest delivery.")
    .action((_, command) => carry(command, listNotifiers));
  notify
    .command("test")
    .description("Sends a test at once. Ends with 1 if it was not taken.")
    .argument("<name>", "the notifier's name")
    .action((name, _, command) => carry(command, (invocation) => testNotifier(invocation, name)));
  notify
    .command("deliveries")
    .description("Lists what was sent, newest first, and what became of it.")
    .argument("[name]", "of this notifier alone")
    .action((name, _, command) => carry(command, (invocation) => listDeliveries(invocation, name)));
  notify
    .command("rm")
    .description("Sends nothing more to a notifier, and forgets it.")
    .argument("<name>", "the notifier's name")
    .action((name, _, command) => carry(command, (invocation) => removeNotifier(invocation, name)));
}
