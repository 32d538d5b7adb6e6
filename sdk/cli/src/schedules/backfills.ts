import type { Client } from "@towpath/client";
import { type Backfill, LIMITS, textInZone, uuidv7 } from "@towpath/contract";
import { deploymentFilter, findDeployment } from "../deployments/find.ts";
import { schedulesOf } from "../deployments/inspect.ts";
import { EXIT } from "../failure.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { parseParameters } from "../runs/parameters.ts";
import { instantOf, zoneOf } from "./timing.ts";
import { tellTrouble } from "./trouble.ts";

/** The arguments of `towpath backfill run`. */
export interface BackfillOptions {
  readonly deployment: string;
  readonly schedule: string;
  readonly from: string;
  readonly to: string;
  readonly order: "oldest" | "newest";
  readonly only: Backfill["only"];
  readonly concurrency: number;
  readonly given: readonly string[];
  readonly dryRun: boolean;
}

function progressOf(one: Backfill): string {
  const failed = one.failed > 0 ? `, ${one.failed} did not complete` : "";
  return `${one.ended}/${one.instants} ended${failed}`;
}

/** `towpath backfill run DEPLOYMENT SCHEDULE --from … --to …` */
export async function runBackfill(invocation: Invocation, options: BackfillOptions): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const { schedule, order, only, concurrency, dryRun, given } = options;
  const { name: deployment, parameters } = await findDeployment(client, options.deployment);
  const zone = zoneOf((await client.getSchedule({ params: { name: deployment, schedule } })).timing);
  const schema = given.length === 0 ? null : parameters;
  const backfill = await client.createBackfill({
    params: { name: deployment },
    body: {
      id: uuidv7(invocation.clock.nowMs()),
      schedule,
      order,
      only,
      concurrency,
      dryRun,
      from: instantOf("--from", options.from, zone),
      to: instantOf("--to", options.to, zone),
      ...(schema && { parameters: await parseParameters(deployment, { schema, given }) }),
    },
  });
  output.data(backfill);
  const { instants, first } = backfill;
  if (instants === 0)
    return output.line(
      `Nothing to run: the range has no ${only.replaceAll("-", " ")} times of ${deployment}.`,
    );
  const what = `${instants} ${instants === 1 ? "run" : "runs"} of ${deployment}, ${concurrency} at a time, ${order} first`;
  output.line(
    dryRun
      ? `Would start ${what}:`
      : `${style.green("✓")} backfill ${style.bold(backfill.id ?? "")}: ${what}`,
  );
  for (const at of first) output.line(`  ${textInZone(at, zone)}`);
  if (instants > first.length) output.line(style.dim(`  … and ${instants - first.length} more`));
  if (!dryRun) output.next("`towpath backfill ls` shows its progress");
}

/** An end of a range as people write it: a day if it is midnight in the schedule's zone, else the local time. */
function rangeText(at: string, zone: string): string {
  const text = textInZone(at, zone);
  const [day = "", time = ""] = text.split("T");
  return time.startsWith("00:00:00") ? day : text;
}

/** The time zone of each backfill's schedule. UTC if the schedule has been removed. */
async function zonesOf(
  client: Client,
  filter: { deployment?: string },
): Promise<(backfill: Backfill) => string> {
  const schedules = await schedulesOf(client, filter);
  const zones = new Map(schedules.map((one) => [`${one.deployment} ${one.name}`, zoneOf(one.timing)]));
  return ({ deployment, schedule }) => zones.get(`${deployment} ${schedule}`) ?? "UTC";
}

/** `towpath backfill ls` */
export async function listBackfills(
  invocation: Invocation,
  query: { deployment?: string | undefined },
): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const deployment = await deploymentFilter(client, query.deployment);
  const page = await client.listBackfills({ query: { limit: LIMITS.pageRows, ...deployment } });
  output.data(page);
  if (page.items.length === 0)
    return output.next(
      "no backfills yet; `towpath backfill run DEPLOYMENT SCHEDULE --from DAY --to DAY` starts one",
    );
  const zoneFor = await zonesOf(client, deployment);
  output.table(
    ["BACKFILL", "DEPLOYMENT", "SCHEDULE", "FROM", "TO", "STATE", "PROGRESS"],
    page.items.map((one) => [
      one.id ?? "",
      one.deployment,
      one.schedule,
      rangeText(one.from, zoneFor(one)),
      rangeText(one.to, zoneFor(one)),
      one.state,
      progressOf(one),
    ]),
  );
  for (const one of page.items)
    for (const trouble of one.troubles ?? []) tellTrouble(output, `${one.id}`, trouble);
}

/** `towpath backfill cancel BACKFILL`. Asks first on a terminal. @returns The exit code. */
export async function cancelBackfill(
  invocation: Invocation,
  { backfillId, yes }: { backfillId: string; yes: boolean },
): Promise<number> {
  const { output } = invocation;
  const client = await invocation.client();
  const question = `Cancel backfill ${backfillId} and its runs that have not ended?`;
  if (!yes && canAsk(invocation) && !(await confirmed(invocation, question))) {
    output.line("Nothing was cancelled.");
    return EXIT.interrupted;
  }
  const one = await client.cancelBackfill({ params: { backfillId } });
  output.data(one);
  const left = one.state === "cancelled" ? "is cancelled" : `had already ${one.state}`;
  output.line(
    `${output.style.green("✓")} backfill ${output.style.bold(backfillId)} ${left} (${progressOf(one)})`,
  );
  return EXIT.ok;
}
