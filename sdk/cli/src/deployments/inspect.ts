import type { Client } from "@towpath/client";
import {
  type Deployment,
  type DeploymentVersion,
  entryText,
  expiryOf,
  type Json,
  LIMITS,
  type Limit,
  pythonText,
  type Schedule,
  Spec,
  type SpecChange,
  textInZone,
  type VersionDetail,
} from "@towpath/contract";
import { EXIT, Failure } from "../failure.ts";
import { formatAge, formatDuration } from "../kernel/duration.ts";
import { instantText, localTimes } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { slotsText } from "../limits/commands.ts";
import { fitLine, type Output, printable, type Style } from "../output.ts";
import { markOf } from "../runs/outcome.ts";
import { timingText, zoneOf } from "../schedules/timing.ts";
import { findDeployment } from "./find.ts";
import { shortDigest } from "./short-digest.ts";

/** Versions that `show` prints. */
const VERSIONS_SHOWN = 10;
/** The most pages of schedules that a command reads. */
const PAGES_MAX = 100;
/** The widest value in a table of changes, columns. `--json` has it whole. */
const VALUE_COLUMNS = 48;

/** A deployment's name as commands take it, unambiguous even if it has other stages: `churn@` without one. */
export function printedName(name: string): string {
  return name.includes("@") ? name : `${name}@`;
}

/** All schedules that match, in the order of their deployments. */
export async function schedulesOf(
  client: Client,
  which: { deployment?: string; stage?: string },
): Promise<Schedule[]> {
  const found: Schedule[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const { items, next } = await client.listSchedules({
      query: { ...which, limit: LIMITS.pageRows, ...(cursor !== undefined && { cursor }) },
    });
    found.push(...items);
    if (next === null) break;
    cursor = next;
  }
  return found;
}

type LatestRun = Awaited<ReturnType<Client["listLatestRuns"]>>["items"][number]["runs"][number];

/** A deployment in a list. */
type Listed = Deployment & {
  readonly lastRun: LatestRun | null;
  readonly schedules: { readonly total: number; readonly paused: number };
};

async function lastRuns(client: Client, names: readonly string[]): Promise<ReadonlyMap<string, LatestRun>> {
  if (names.length === 0) return new Map();
  const { items } = await client.listLatestRuns({ query: { deployments: names.join(","), each: 1 } });
  return new Map(items.flatMap(({ deployment, runs: [run] }) => (run ? [[deployment, run] as const] : [])));
}

function scheduleText({ total, paused }: Listed["schedules"], style: Style): string {
  if (total === 0) return "";
  const word = total === paused ? "all paused" : `${paused} paused`;
  return paused === 0 ? `${total}` : `${total}, ${style.yellow(word)}`;
}

/** A near or past expiry, with a leading comma. Empty if it is far. */
function expiryText(
  { expiresAt, registeredAt: since }: Pick<DeploymentVersion, "expiresAt" | "registeredAt">,
  { nowMs, style }: { nowMs: number; style: Style },
): string {
  const expiry = expiryOf({ expiresAt, since }, nowMs);
  if (expiry === null) return "";
  return expiry.isPast ? `, ${style.red("expired")}` : `, ${style.yellow(`expires in ${expiry.days} d`)}`;
}

function listedRow(one: Listed, { output: { style }, clock }: Invocation): string[] {
  const { lastRun, latest } = one;
  const age = (at: string) => formatAge(at, clock.nowMs());
  const ran =
    lastRun === null
      ? ""
      : `${markOf(lastRun.state, style)} ${lastRun.state} ${age(lastRun.endedAt ?? lastRun.startedAt ?? lastRun.createdAt)}`;
  return [
    one.name,
    `v${latest.version}${expiryText(latest, { nowMs: clock.nowMs(), style })}`,
    `${age(latest.registeredAt)} by ${printable(latest.registeredBy)}`,
    ran,
    scheduleText(one.schedules, style),
  ];
}

/** `towpath deployments ls` */
export async function listDeployments(
  invocation: Invocation,
  { stage, cursor }: { stage?: string | undefined; cursor?: string | undefined },
): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const inStage = stage === undefined ? {} : { stage };
  const page = await client.listDeployments({
    query: { ...inStage, limit: LIMITS.pageRows, ...(cursor && { cursor }) },
  });
  const names = page.items.map(({ name }) => name);
  const [runs, schedules] = await Promise.all([lastRuns(client, names), schedulesOf(client, inStage)]);
  const items = page.items.map((one) => {
    const own = schedules.filter(({ deployment }) => deployment === one.name);
    const paused = own.filter((schedule) => schedule.paused).length;
    return { ...one, lastRun: runs.get(one.name) ?? null, schedules: { total: own.length, paused } };
  });
  output.data({ items, next: page.next });
  if (items.length === 0)
    return output.next(
      stage === undefined
        ? "nothing is deployed yet; `towpath deploy` registers a project's deployments"
        : `no deployment of the stage ${stage}; \`towpath deploy --stage ${stage}\` registers a project's deployments`,
    );
  output.table(
    ["DEPLOYMENT", "VERSION", "DEPLOYED", "LAST RUN", "SCHEDULES"],
    items.map((one) => listedRow(one, invocation)),
  );
  if (page.next !== null)
    output.line(
      style.dim(
        `More: ${style.typed(`towpath deployments ls${stage === undefined ? "" : ` --stage ${stage}`} --cursor ${page.next}`)}`,
      ),
    );
}

/** Fields of a spec that `show` prints elsewhere, or not at all because they are long or technical. */
const HIDDEN = [
  "format workspaceId deployment stage version issuedAt",
  "code entry env parameters schedules tasks",
].flatMap((fields) => fields.split(" "));

/** The fields of a spec that are instants. Other texts may look like instants, such as a variable's value. */
const INSTANT_FIELD = /^(?:expiresAt|(?:schedules\.[^.]+\.)?(?:startsAt|endsAt))$/;

/** An instant of a whole second as local time. Others as they are, because a diff must show milliseconds. */
function specInstantText(at: string): string {
  return Date.parse(at) % 1000 === 0 ? localTimes(at) : at;
}

function valueText(field: string, value: Json): string {
  if (value === null) return "";
  if (typeof value === "number" && field.endsWith("Ms")) return formatDuration(value);
  if (Array.isArray(value)) return value.map((one) => valueText(field, one)).join(", ");
  if (typeof value === "string" && INSTANT_FIELD.test(field)) return specInstantText(value);
  if (typeof value !== "object") return String(value);
  const parts = Object.entries(value).map(([key, one]) => [key, valueText(key, one)] as const);
  return parts.flatMap(([key, text]) => (text === "" ? [] : [`${key} ${text}`])).join(", ");
}

function codeText(code: VersionDetail["version"]["code"]): string {
  const link = code.kind === "git" && code.link !== undefined ? ` ${code.link}` : "";
  return `${code.registry} (${code.kind}) ${code.digest}${link}`;
}

/** The parameters by name: `day`, or `day?` if it may be left out. */
function parametersText({ properties, required }: Deployment["parameters"]): string {
  if (typeof properties !== "object" || properties === null) return "";
  const needed = Array.isArray(required) ? required : [];
  return Object.keys(properties)
    .map((name) => (needed.includes(name) ? name : `${name}?`))
    .join(", ");
}

/** Whether a field of a spec has its default. A deploy sets the floor to 1 as long as every version may run. */
function isDefault(field: string, value: Json): boolean {
  if (field === "floor") return value === 1;
  const schema = Object.entries(Spec.shape).find(([name]) => name === field)?.[1];
  const unset = schema?.safeParse(undefined);
  return unset?.success === true && JSON.stringify(unset.data) === JSON.stringify(value);
}

/** The settings of a version that differ from the defaults, as rows of name and value. */
function settingRows({ version, spec }: VersionDetail, parameters: Deployment["parameters"]): string[][] {
  const env = typeof spec.env === "object" && spec.env !== null ? Object.keys(spec.env).join(", ") : "";
  const rows = [
    ["entrypoint", entryText(version.entry)],
    ["python", pythonText(version.entry) ?? ""],
    ["code", codeText(version.code)],
    ["signed by", version.keyId],
    ["parameters", parametersText(parameters)],
    ["env", env],
    ...Object.entries(spec)
      .filter(([field, value]) => !HIDDEN.includes(field) && !isDefault(field, value))
      .map(([field, value]) => [field, valueText(field, value)]),
  ];
  return rows.filter(([, text]) => text !== "").map((row) => row.map(printable));
}

function nextText({ paused, nextAt, timing }: Schedule, style: Style): string {
  if (paused) return style.yellow("paused");
  return nextAt === null ? "" : textInZone(nextAt, zoneOf(timing));
}

function printSchedules(output: Output, schedules: readonly Schedule[]): void {
  if (schedules.length === 0) return;
  output.line();
  output.table(
    ["SCHEDULE", "WHEN", "NEXT", "SET BY"],
    schedules.map((one) => [one.name, timingText(one.timing), nextText(one, output.style), one.source]),
  );
}

function printLimits(output: Output, limits: readonly Limit[]): void {
  if (limits.length === 0) return;
  output.line();
  output.table(
    ["LIMIT", "KIND", "SLOTS", "TAKEN", "WAITING"],
    limits.map((one) => [
      printable(one.name),
      one.kind,
      slotsText(one),
      String(one.taken),
      String(one.waiting),
    ]),
  );
}

/** The tags of a deployment's runs: those of all, and those of its schedules. */
function tagsOf(spec: VersionDetail["spec"], schedules: readonly Schedule[]): readonly unknown[] {
  const own = Array.isArray(spec.tags) ? spec.tags : [];
  return [...own, ...schedules.flatMap(({ tags }) => tags)];
}

/** The limit of a deployment's runs, the named limits that each of its runs takes, and the limits of their tags. */
async function limitsOf(
  client: Client,
  { name, spec, schedules }: { name: string; spec: VersionDetail["spec"]; schedules: readonly Schedule[] },
) {
  const uses = Array.isArray(spec.limits) ? spec.limits : [];
  const named = uses.flatMap((use) =>
    typeof use === "object" && use !== null && !Array.isArray(use) && typeof use.name === "string"
      ? [{ kind: "named" as const, name: use.name }]
      : [],
  );
  const pages = await Promise.all(
    [{ kind: "deployment" as const, name }, ...named].map((query) => client.listLimits({ query })),
  );
  const tags = tagsOf(spec, schedules);
  const ofTags =
    tags.length === 0
      ? []
      : (await client.listLimits({ query: { kind: "tag", limit: LIMITS.pageRows } })).items;
  return [...pages.flatMap(({ items }) => items), ...ofTags.filter((limit) => tags.includes(limit.name))];
}

/** `towpath deployments show NAME` */
export async function showDeployment(invocation: Invocation, written: string): Promise<void> {
  const { output, clock } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const deployment = await findDeployment(client, written);
  const { name, latest } = deployment;
  const [detail, versions, schedules] = await Promise.all([
    client.getVersion({ params: { name, version: latest.version }, query: {} }),
    client.listVersions({ params: { name }, query: { limit: VERSIONS_SHOWN } }),
    schedulesOf(client, { deployment: name }),
  ]);
  const limits = await limitsOf(client, { name, spec: detail.spec, schedules });
  output.data({ deployment, spec: detail.spec, versions, schedules, limits });
  if (output.json) return;
  output.line(`${style.bold(name)} v${latest.version}`);
  for (const [field = "", text = ""] of settingRows(detail, deployment.parameters))
    output.line(`  ${style.dim(field.padEnd(14))} ${text}`);
  output.line();
  output.table(
    ["VERSION", "DEPLOYED", "BY", "CODE", "SIGNED BY"],
    versions.items.map((one) => [
      `v${one.version}${expiryText(one, { nowMs: clock.nowMs(), style })}`,
      formatAge(one.registeredAt, clock.nowMs()),
      printable(one.registeredBy),
      shortDigest(one.code.digest),
      one.keyId.slice(0, 12),
    ]),
  );
  if (versions.next !== null) output.line(style.dim(`The latest ${VERSIONS_SHOWN} versions.`));
  printSchedules(output, schedules);
  printLimits(output, limits);
  if (detail.since !== null)
    output.next(`\`towpath deployments diff ${printedName(name)}\` shows what the latest version changed`);
}

/** Of a list that changed, the items that only this side has, so that long lists show what differs. */
function ownItems(value: Json, other: Json | undefined): Json {
  if (!Array.isArray(value) || !Array.isArray(other)) return value;
  const others = new Set(other.map((one) => JSON.stringify(one)));
  return value.filter((one) => !others.has(JSON.stringify(one)));
}

function changeText(change: SpecChange, side: "before" | "after"): string {
  const value = change[side];
  if (value === undefined) return "–";
  if (change.withheld) return "not shown";
  if (change.field === "code.digest" && typeof value === "string") return shortDigest(value);
  const other = change[side === "before" ? "after" : "before"];
  const text = valueText(change.field, ownItems(value, other)) || "–";
  return fitLine(printable(text), VALUE_COLUMNS);
}

/** Prints the fields in which two versions differ. */
export function printChanges(
  output: Output,
  { changes, from, to }: { changes: readonly SpecChange[]; from: number; to: number },
): void {
  if (changes.length === 0) output.line("  Only the signing time differs.");
  else
    output.table(
      ["FIELD", `V${from}`, `V${to}`],
      changes.map((one) => [printable(one.field), changeText(one, "before"), changeText(one, "after")]),
    );
}

/** The two versions to compare. Numbers may have gaps. @throws Failure if they are one. */
async function comparedOf(
  client: Client,
  { name, latest }: Deployment,
  given: { before: number | undefined; after: number | undefined },
): Promise<{ before: number; after: number }> {
  const after = given.after ?? latest.version;
  const before =
    given.before ?? (await client.getVersion({ params: { name, version: after }, query: {} })).since ?? 0;
  if (before >= 1 && before !== after) return { before, after };
  if (latest.version === 1)
    throw new Failure(`"${name}" has only one version, v1. There is nothing to compare yet.`, {
      exit: "invalidInput",
      code: "no-earlier-version",
    });
  throw new Failure(
    before < 1 ? `v${after} is the first version of "${name}".` : `Both versions of "${name}" are v${after}.`,
    {
      exit: "invalidInput",
      code: "no-earlier-version",
      next: [`give two versions; \`towpath deployments show ${printedName(name)}\` lists them`],
    },
  );
}

/** `towpath deployments diff NAME [A] [B]`: by default the latest version and the one before it. @returns The exit code. */
export async function diffVersions(
  invocation: Invocation,
  request: { name: string; before: number | undefined; after: number | undefined },
): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const deployment = await findDeployment(client, request.name);
  const { name } = deployment;
  const { before, after } = await comparedOf(client, deployment, request);
  const [now, old] = await Promise.all([
    client.getVersion({ params: { name, version: after }, query: { since: before } }),
    client.getVersion({ params: { name, version: before }, query: {} }),
  ]);
  const { changes } = now;
  output.data({ deployment: name, before: old.version, after: now.version, changes });
  if (output.json) return EXIT.ok;
  for (const { version } of [old, now])
    output.line(
      `${style.bold(name)} v${version.version}  ${instantText(version.registeredAt, invocation.clock.nowMs())} by ${printable(version.registeredBy)}  ${printable(codeText(version.code))}`,
    );
  output.line();
  printChanges(output, { changes, from: before, to: after });
  return EXIT.ok;
}
