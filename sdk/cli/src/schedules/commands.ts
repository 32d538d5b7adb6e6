import type { Client } from "@towpath/client";
import {
  LIMITS,
  Problem,
  type Schedule,
  type ScheduleSettingsInput,
  textInZone,
  type UpcomingInstant,
} from "@towpath/contract";
import { deploymentFilter, deploymentNamed, findDeployment, typedName } from "../deployments/find.ts";
import { printedName, schedulesOf } from "../deployments/inspect.ts";
import { EXIT } from "../failure.ts";
import { confirmedRemoval } from "../kernel/confirm.ts";
import { timeUntil } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { parseParameters } from "../runs/parameters.ts";
import {
  durationOf,
  instantOf,
  type TimingOptions,
  timingOf,
  timingText,
  withOptionNames,
  zoneOf,
} from "./timing.ts";
import { tellTrouble } from "./trouble.ts";

/** Which schedule of which deployment. */
export interface ScheduleName {
  readonly deployment: string;
  readonly schedule: string;
}

async function paramsOf(client: Client, { deployment, schedule }: ScheduleName) {
  return { name: await deploymentNamed(client, deployment), schedule };
}

function stateOf(schedule: Schedule, invocation: Invocation): string {
  const { style } = invocation.output;
  if (schedule.fault !== null) return style.red("faulty");
  if (schedule.paused) return style.yellow("paused");
  return schedule.nextAt === null ? style.dim("over") : timeUntil(schedule.nextAt, invocation.clock.nowMs());
}

/** `towpath schedule ls` */
export async function listSchedules(
  invocation: Invocation,
  query: { deployment?: string | undefined; stage?: string | undefined; cursor?: string | undefined },
): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const { stage, cursor } = query;
  const deployment = await deploymentFilter(client, query.deployment, stage);
  const page = await client.listSchedules({
    query: { limit: LIMITS.pageRows, ...deployment, ...(stage && { stage }), ...(cursor && { cursor }) },
  });
  output.data(page);
  if (page.items.length === 0)
    return output.next(
      'no schedules yet; `towpath schedule set DEPLOYMENT NAME --cron "0 3 * * *"` creates one',
    );
  output.table(
    ["DEPLOYMENT", "SCHEDULE", "WHEN", "NEXT", "NEXT AT", "SET BY"],
    page.items.map((one) => [
      one.deployment,
      one.name,
      timingText(one.timing),
      stateOf(one, invocation),
      one.nextAt === null ? "" : textInZone(one.nextAt, zoneOf(one.timing)),
      one.source,
    ]),
  );
  for (const one of page.items)
    for (const trouble of one.troubles ?? []) tellTrouble(output, `${one.deployment} ${one.name}`, trouble);
  if (page.next === null) return;
  const typed = typedName(query.deployment, deployment.deployment);
  const again = [
    "towpath schedule ls",
    ...(typed === undefined ? [] : ["--deployment", typed]),
    ...(stage === undefined ? [] : ["--stage", stage]),
    "--cursor",
    page.next,
  ].join(" ");
  output.line(output.style.dim(`More: ${output.style.typed(again)}`));
}

/** The arguments of `towpath schedule set`. */
export interface SetOptions extends ScheduleName, TimingOptions {
  readonly given: readonly string[];
  readonly catchUp?: ScheduleSettingsInput["catchUp"];
  readonly window?: string | undefined;
  readonly overlap?: ScheduleSettingsInput["overlap"];
  readonly jitter?: string | undefined;
  readonly from?: string | undefined;
  readonly until?: string | undefined;
  readonly priority?: number | undefined;
  readonly expireAfter?: string | undefined;
  readonly tags: readonly string[];
  readonly dryRun: boolean;
}

/** Parses `-p` options by the deployment's schema. They may be missing if the flow computes its own parameters. */
async function parametersOf(client: Client, options: Pick<SetOptions, "deployment" | "given">) {
  const deployment = await findDeployment(client, options.deployment);
  const { name } = deployment;
  if (deployment.dueInput && options.given.length === 0) return { name, parameters: {} };
  const parameters = await parseParameters(name, { schema: deployment.parameters, given: options.given });
  return { name, parameters };
}

function settingsOf(options: SetOptions, parameters: ScheduleSettingsInput["parameters"]) {
  const timing = timingOf(options);
  const { catchUp, window, overlap, jitter, from, until, priority, expireAfter } = options;
  return {
    name: options.schedule,
    timing,
    parameters,
    tags: [...options.tags],
    ...(catchUp && { catchUp }),
    ...(overlap && { overlap }),
    ...(priority !== undefined && { priority }),
    ...(window && { catchUpWindowMs: durationOf("--window", window) }),
    ...(expireAfter && { expireAfterMs: durationOf("--expire-after", expireAfter) }),
    ...(jitter && { jitterMs: durationOf("--jitter", jitter) }),
    ...(from && { startsAt: instantOf("--from", from, zoneOf(timing)) }),
    ...(until && { endsAt: instantOf("--until", until, zoneOf(timing)) }),
  };
}

/** `towpath schedule set DEPLOYMENT NAME` */
export async function setSchedule(invocation: Invocation, options: SetOptions): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  timingOf(options);
  const client = await invocation.client();
  const { name, parameters } = await parametersOf(client, options);
  const body = settingsOf(options, parameters);
  const refuse = (thrown: unknown) => Promise.reject(withOptionNames(thrown));
  if (options.dryRun) {
    const { timing, startsAt = null, endsAt = null } = body;
    const answer = await client.previewSchedule({ body: { timing, startsAt, endsAt } }).catch(refuse);
    output.data(answer);
    drawTimes(invocation, answer.items, zoneOf(timing));
    return output.line(`${style.dim("A dry run:")} the schedule was not changed.`);
  }
  const schedule = await client.setSchedule({ params: { name }, body }).catch(refuse);
  output.data(schedule);
  output.line(`${style.green("✓")} schedule ${style.bold(schedule.name)} of ${schedule.deployment}`);
  if (schedule.nextAt === null)
    output.line(`  ${style.yellow("it never runs: the schedule has no time in the future")}`);
  else
    output.line(
      `  next ${textInZone(schedule.nextAt, zoneOf(schedule.timing))}, ${timeUntil(schedule.nextAt, invocation.clock.nowMs())}`,
    );
  const typed = typedName(options.deployment, schedule.deployment);
  output.next(`\`towpath schedule next ${typed} ${schedule.name}\` shows its next runs`);
}

/** `towpath schedule pause|resume DEPLOYMENT NAME` */
export async function switchSchedule(
  invocation: Invocation,
  name: ScheduleName,
  to: "paused" | "resumed",
): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const params = await paramsOf(client, name);
  const schedule =
    to === "paused" ? await client.pauseSchedule({ params }) : await client.resumeSchedule({ params });
  output.data(schedule);
  const next =
    schedule.nextAt === null ? "" : `, next ${textInZone(schedule.nextAt, zoneOf(schedule.timing))}`;
  output.line(
    `${output.style.green("✓")} schedule ${output.style.bold(schedule.name)} of ${schedule.deployment} is ${to}${next}`,
  );
}

/** `towpath deployments pause|resume NAME`: all schedules of a deployment. Repeating it changes nothing. */
export async function switchSchedules(
  invocation: Invocation,
  written: string,
  to: "paused" | "resumed",
): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const { name } = await findDeployment(client, written);
  const there = await schedulesOf(client, { deployment: name });
  const items: Schedule[] = [];
  for (const one of there.filter(({ paused }) => paused !== (to === "paused"))) {
    const params = { name, schedule: one.name };
    items.push(
      to === "paused" ? await client.pauseSchedule({ params }) : await client.resumeSchedule({ params }),
    );
  }
  output.data({ items });
  if (there.length === 0) output.line(`${name} has no schedules, so nothing was ${to}.`);
  else if (items.length === 0) output.line(`All schedules of ${name} are ${to} already.`);
  for (const { name: schedule, nextAt, timing } of items) {
    const next = nextAt === null ? "" : `, next ${textInZone(nextAt, zoneOf(timing))}`;
    output.line(
      `${output.style.green("✓")} schedule ${output.style.bold(schedule)} of ${name} is ${to}${next}`,
    );
  }
  if (to === "paused")
    output.next(
      `other runs still start; \`towpath limit set ${printedName(name)} 0 --kind deployment\` lets them wait`,
    );
}

/** The schedule, or null if there is none. */
async function scheduleIfThere(
  client: Client,
  params: { name: string; schedule: string },
): Promise<Schedule | null> {
  try {
    return await client.getSchedule({ params });
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "schedule-not-found") return null;
    throw failure;
  }
}

/**
 * `towpath schedule rm DEPLOYMENT NAME`. Asks first if the schedule comes from the code, because only a change of the code
 * removes it for good. @returns The exit code.
 */
export async function deleteSchedule(
  invocation: Invocation,
  { yes, ...name }: ScheduleName & { readonly yes: boolean },
): Promise<number> {
  const { output } = invocation;
  const client = await invocation.client();
  const params = await paramsOf(client, name);
  const isFromCode = (await scheduleIfThere(client, params))?.source === "code";
  if (isFromCode) {
    output.note(
      `${output.style.yellow("!")} The schedule comes from the code. The next version of ${params.name} creates it again.`,
    );
    const what = `schedule ${name.schedule} of ${params.name}`;
    if (!(await confirmedRemoval(invocation, { yes, what }))) {
      output.line("Nothing was removed.");
      return EXIT.interrupted;
    }
  }
  await client.deleteSchedule({ params });
  output.data({ removed: true });
  output.line(
    `${output.style.green("✓")} ${params.name} has no schedule ${output.style.bold(name.schedule)} now; its runs are kept`,
  );
  if (isFromCode)
    output.next("remove it from the deployment in towpath.config.ts, or the next version creates it again");
  return EXIT.ok;
}

/** `towpath schedule next DEPLOYMENT NAME` */
export async function listUpcoming(invocation: Invocation, name: ScheduleName, limit: number): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const params = await paramsOf(client, name);
  const [answer, { timing }] = await Promise.all([
    client.listUpcoming({ params, query: { limit } }),
    client.getSchedule({ params }),
  ]);
  output.data(answer);
  drawTimes(invocation, answer.items, zoneOf(timing));
}

function drawTimes({ output, clock }: Invocation, items: readonly UpcomingInstant[], zone: string): void {
  if (items.length === 0) {
    output.line("The schedule has no further time.");
    return;
  }
  output.table(
    [`SCHEDULED FOR (${zone})`, "", "DATA FROM"],
    items.map(({ at, intervalStart }) => [
      textInZone(at, zone),
      timeUntil(at, clock.nowMs()),
      textInZone(intervalStart, zone),
    ]),
  );
}

/** `towpath schedule history DEPLOYMENT NAME` */
export async function listInstants(invocation: Invocation, name: ScheduleName, limit: number): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const params = await paramsOf(client, name);
  const [page, { timing }] = await Promise.all([
    client.listInstants({ params, query: { limit } }),
    client.getSchedule({ params }),
  ]);
  const zone = zoneOf(timing);
  output.data(page);
  if (page.items.length === 0) return output.line("The schedule has no past time yet.");
  output.table(
    [`DUE (${zone})`, "UNTIL", "BECAME"],
    page.items.map(({ at, until, runId, skipped }) => [
      textInZone(at, zone),
      until === null ? "" : textInZone(until, zone),
      runId === null ? style.yellow(`skipped: ${skipped ?? "unknown"}`) : `run ${runId}`,
    ]),
  );
}
