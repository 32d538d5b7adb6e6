import { type CreateNotifier, type Delivery, LIMITS, type Notifier } from "@towpath/contract";
import { deploymentNamed } from "../deployments/find.ts";
import { instantText, timeUntil } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";

/** The arguments of `towpath notify add`. */
export type NotifierOptions = CreateNotifier;

/** A delivery in a few words. */
function outcomeOf({ state, tries, failure, nextAt }: Delivery, nowMs: number): string {
  if (state === "sent") return "sent";
  const why = failure ?? "not tried yet";
  return state === "given-up"
    ? `gave up after ${tries} tries: ${why}`
    : `${why}; next try ${nextAt === null ? "soon" : timeUntil(nextAt, nowMs)}`;
}

/** `towpath notify add NAME URL` */
export async function addNotifier(invocation: Invocation, options: NotifierOptions): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const deployment = options.deployment ? await deploymentNamed(client, options.deployment) : null;
  const made = await client.createNotifier({ body: { ...options, deployment } });
  output.data(made);
  const { notifier } = made;
  output.line(
    `${output.style.green("✓")} notifier ${output.style.bold(notifier.name)} gets ${notifier.events.join(", ")} of ${notifier.deployment ?? "every deployment"}`,
  );
  if (notifier.kind === "webhook")
    output.line(`signing secret: ${made.secret} (shown only once; copy it now)`);
  output.next(`\`towpath notify test ${notifier.name}\` sends a test now`);
}

function rowOf(notifier: Notifier, nowMs: number): string[] {
  const { name, kind, target, deployment, events, latest } = notifier;
  return [
    name,
    kind,
    target,
    deployment ?? "",
    events.join(", "),
    latest === null ? "" : outcomeOf(latest, nowMs),
  ];
}

/** `towpath notify ls` */
export async function listNotifiers(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = await client.listNotifiers({ query: { limit: LIMITS.pageRows } });
  output.data(page);
  if (page.items.length === 0)
    return output.next("no notifiers yet; `towpath notify add oncall https://…` sends failures to a URL");
  output.table(
    ["NOTIFIER", "KIND", "TO", "DEPLOYMENT", "EVENTS", "LATEST DELIVERY"],
    page.items.map((one) => rowOf(one, invocation.clock.nowMs())),
  );
}

/** `towpath notify rm NAME` */
export async function removeNotifier(invocation: Invocation, name: string): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  await client.deleteNotifier({ params: { name } });
  output.data({ name });
  output.line(`${output.style.green("✓")} removed notifier ${output.style.bold(name)}`);
}

/** `towpath notify test NAME` */
export async function testNotifier(invocation: Invocation, name: string): Promise<number> {
  const { output } = invocation;
  const client = await invocation.client();
  const sent = await client.testNotifier({ params: { name } });
  output.data(sent);
  const mark = sent.state === "sent" ? output.style.green("✓") : output.style.red("✗");
  output.line(`${mark} test of ${output.style.bold(name)}: ${outcomeOf(sent, invocation.clock.nowMs())}`);
  return sent.state === "sent" ? 0 : 1;
}

/** `towpath notify deliveries [NAME]` */
export async function listDeliveries(invocation: Invocation, name: string | undefined): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const nowMs = invocation.clock.nowMs();
  const page = await client.listDeliveries({
    query: { limit: 50, ...(name === undefined ? {} : { notifier: name }) },
  });
  output.data(page);
  if (page.items.length === 0) return output.next("nothing has been sent yet");
  output.table(
    ["AT", "NOTIFIER", "EVENT", "RUN", "TRIES", "OUTCOME"],
    page.items.map((one) => {
      const { createdAt, notifier, event, runId, tries } = one;
      return [
        instantText(createdAt, nowMs),
        notifier,
        event,
        runId ?? "",
        String(tries),
        outcomeOf(one, nowMs),
      ];
    }),
  );
}
