import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { NOTIFIER_EVENTS, NOTIFIER_KINDS, parseDuration } from "@towpath/contract";
import type { Carry, Root } from "../program.ts";
import { addNotifier, listDeliveries, listNotifiers, removeNotifier, testNotifier } from "./commands.ts";

type NotifierEvent = (typeof NOTIFIER_EVENTS)[number];

/** Parses an option that is a list of events: `failure,late`. */
function eventsOf(text: string): NotifierEvent[] {
  return text.split(",").map((part) => {
    const found = NOTIFIER_EVENTS.find((event) => event === part.trim());
    if (found === undefined) throw new InvalidArgumentError(`Choose from ${NOTIFIER_EVENTS.join(", ")}.`);
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
    .summary("send failures, late runs, recoveries and questions to a URL")
    .description(
      "Adds, lists, tests and removes notifiers. A notifier is a URL that gets a message when a run fails, has not started in time, succeeds again, or asks a question.",
    );
  notify
    .command("add")
    .description("Sends notifications to a URL. The URL is not shown again, because it may contain a secret.")
    .argument("<name>", "the notifier's name: lower-case letters, digits, - and _")
    .argument("<url>", "an https address")
    .addOption(
      new Option("--kind <kind>", "choose the format: signed JSON, or a Slack message")
        .choices(NOTIFIER_KINDS)
        .default("webhook" as const),
    )
    .option("--deployment <name>", "send only events of this deployment (default: of all)")
    .addOption(
      new Option("--on <events>", `choose events, separated by commas: ${NOTIFIER_EVENTS.join(", ")}`)
        .argParser(eventsOf)
        .default([...NOTIFIER_EVENTS] as NotifierEvent[], "all"),
    )
    .addOption(
      new Option(
        "--late-after <duration>",
        "treat a run as late if it has not started this long after its scheduled time",
      )
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
    .description("Lists notifiers with their latest delivery.")
    .action((_, command) => carry(command, listNotifiers));
  notify
    .command("test")
    .description("Sends a test now. The exit code is 1 if it was not accepted.")
    .argument("<name>", "the notifier's name")
    .action((name, _, command) => carry(command, (invocation) => testNotifier(invocation, name)));
  notify
    .command("deliveries")
    .description("Lists deliveries and their results, newest first.")
    .argument("[name]", "list only deliveries of this notifier")
    .action((name, _, command) => carry(command, (invocation) => listDeliveries(invocation, name)));
  notify
    .command("rm")
    .description("Removes a notifier. Nothing more is sent to it.")
    .argument("<name>", "the notifier's name")
    .action((name, _, command) => carry(command, (invocation) => removeNotifier(invocation, name)));
}
