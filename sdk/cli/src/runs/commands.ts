import { workingMs } from "@towpath/client/attempt-tasks";
import {
  isFinalRunState,
  type Run,
  type RunSummary,
  remoteTaskOf,
  shortId,
  triggerText,
  troubleText,
} from "@towpath/contract";
import { deploymentFilter, typedName } from "../deployments/find.ts";
import { EXIT, Failure } from "../failure.ts";
import { durationBetween, formatAge, formatDuration } from "../kernel/duration.ts";
import { instantText, localTimes } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { storedOpener } from "../logs/stored.ts";
import { type Output, printable, withoutEmpty } from "../output.ts";
import { pageNumber } from "../pages.ts";
import { answerLine } from "./answer.ts";
import { createRun, type RunRequest } from "./create.ts";
import { artifactLines, taskLine, workText } from "./draw.ts";
import { errorLines } from "./error-lines.ts";
import { findRunId } from "./find.ts";
import { followRun } from "./follow.ts";
import { explainNone, narrowingWords, type RunsQuery, runQueryOf } from "./narrow.ts";
import { describeState, exitOfState, explainCause, tellNext } from "./outcome.ts";
import { groupLine, likeness, sourcesText, together } from "./task-groups.ts";
import { tellEnd } from "./why.ts";

/** The width of the names before the facts of a run, with the space after them. */
const FACT_COLUMNS = 12;

/** `towpath run NAME`. @returns The exit code; with `--watch` that of the run's outcome. */
export async function run(invocation: Invocation, request: RunRequest & { watch: boolean }): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const connection = await invocation.connect();
  const created = await createRun(invocation, connection.client, request);
  const page = `${connection.url}/runs/${created.id}`;
  output.line(
    `${style.green("✓")} run ${style.bold(created.id)} of ${created.deployment}, version ${created.version}`,
  );
  if (!request.watch) {
    output.data(created);
    output.line(`  ${style.dim(page)}`);
    if (created.why !== null) output.line(`  ${localTimes(created.why)}`);
    if (isFinalRunState(created.state)) {
      tellEnd(output, created);
      return EXIT[exitOfState(created.state)];
    }
    output.next(`\`towpath logs ${created.id} -f\` follows the run`);
    return EXIT.ok;
  }
  const ended = await followRun(invocation, {
    client: connection.client,
    runId: created.id,
    opener: storedOpener(connection, output),
  });
  return EXIT[exitOfState(ended.state)];
}

/** The ends of ids, which commands accept: ids of one minute begin alike. Whole ids if two of these runs end alike. */
function shortIds(runs: readonly { readonly id: string }[]): (id: string) => string {
  const ends = new Set(runs.map(({ id }) => shortId(id)));
  return ends.size === runs.length ? shortId : (id) => id;
}

function runRow(run: RunSummary, idText: string, invocation: Invocation): string[] {
  const { style } = invocation.output;
  const labels = run.labels.length === 0 ? "" : style.yellow(` ${run.labels.join(", ")}`);
  const took = workText(run);
  const created = formatAge(run.createdAt, invocation.clock.nowMs());
  const state = `${describeState(run, style)}${labels}`;
  const name = printable(run.name ?? "");
  return [idText, run.deployment, `v${run.version}`, name, state, took, created, run.tags.join(" ")];
}

/** `towpath runs ls` */
export async function listRuns(invocation: Invocation, query: RunsQuery): Promise<void> {
  const { output } = invocation;
  const { cursor, limit: rows = 20, page: number = 1 } = query;
  if (cursor !== undefined && query.page !== undefined)
    throw new Failure("--page and --cursor exclude each other.", {
      exit: "usage",
      next: ["leave out one of them"],
    });
  const client = await invocation.client();
  const found = await deploymentFilter(client, query.deployment, query.stage);
  const narrowed = { ...runQueryOf(query, invocation.clock.nowMs()), ...found };
  const typed = { ...query, deployment: typedName(query.deployment, found.deployment) };
  const read = (from: string | undefined) =>
    client.listRuns({ query: { ...narrowed, limit: rows, ...(from === undefined ? {} : { cursor: from }) } });
  const page = await pageNumber(number, await read(cursor), read);
  output.data(page);
  if (page.items.length === 0) return output.next(await explainNone(client, typed));
  const idText = shortIds(page.items);
  const { columns, rows: shown } = withoutEmpty(
    ["RUN", "DEPLOYMENT", "VERSION", "NAME", "STATE", "TOOK", "CREATED", "TAGS"],
    page.items.map((one) => runRow(one, idText(one.id), invocation)),
    ["NAME", "TAGS"],
  );
  output.table(columns, shown);
  if (page.next === null) return;
  const limit = query.limit === undefined ? [] : ["--limit", String(query.limit)];
  const more = cursor === undefined ? ["--page", String(number + 1)] : ["--cursor", page.next];
  const again = ["towpath runs ls", ...narrowingWords(typed), ...limit, ...more].join(" ");
  output.line(output.style.dim(`More: ${output.style.typed(again)}`));
}

/** At most this many child runs are shown, the latest. */
const CHILDREN_MAX = 50;

/** A child run: another deployment, or a task of the run in another pool. */
function childRow(child: RunSummary, { output: { style } }: Invocation): string[] {
  const task = remoteTaskOf(child.trigger);
  const what = task === null ? child.deployment : `task ${printable(task.name)}`;
  const took = workText(child);
  return [child.id, what, child.pool, describeState(child, style), took];
}

/** How long a run took. With several attempts: its working time too, without the time between them. */
function tookText(one: Run, nowMs: number): string {
  const whole = durationBetween(one.startedAt, one.endedAt);
  const worked = workingMs(one.attemptList, nowMs);
  if (one.attemptList.length < 2 || worked === null) return whole;
  const work = `${formatDuration(worked)} of work in ${one.attemptList.length} attempts`;
  return whole === "" ? work : `${whole}, ${work}`;
}

/** The latest answered and expired questions. */
const ANSWERED = { kind: "input", state: "satisfied,expired", order: "newest", limit: 20 } as const;

/** `towpath runs show RUN` */
export async function showRun(invocation: Invocation, id: string): Promise<void> {
  const { output, clock } = invocation;
  const { style } = output;
  const connection = await invocation.connect();
  const { client } = connection;
  const params = { runId: await findRunId(client, id) };
  const one = await client.getRun({ params });
  output.data(one);
  if (output.json) return;
  const [tasks, children, artifacts, answers] = await Promise.all([
    client.listTaskRuns({ params, query: { limit: 200 } }),
    client.listRuns({ query: { parent: one.id, limit: CHILDREN_MAX } }),
    client.listArtifacts({ params, query: { limit: 200 } }),
    client.listWaits({ params, query: ANSWERED }),
  ]);
  const fact = (name: string, text: string) =>
    text && output.line(`${style.dim(name.padEnd(FACT_COLUMNS - 1))} ${text}`);
  output.line(`${style.bold(one.deployment)} version ${one.version}  ${describeState(one, style)}`);
  fact("name", printable(one.name ?? ""));
  fact("run", one.id);
  fact("started by", triggerText(one.trigger));
  fact("created", formatAge(one.createdAt, clock.nowMs()));
  fact("took", tookText(one, clock.nowMs()));
  fact("parameters", JSON.stringify(one.parameters));
  for (const wait of answers.items.toReversed()) fact("answer", answerLine(wait, clock.nowMs()));
  fact("tags", one.tags.join(" "));
  fact("waits for", localTimes(one.why ?? ""));
  for (const trouble of one.troubles ?? []) fact("trouble", style.yellow(printable(troubleText(trouble))));
  fact(
    "ends by",
    one.endsBy ? `${instantText(one.endsBy, clock.nowMs())}, the time limit of the whole run` : "",
  );
  fact("error", one.error ? style.red(printable(`${one.error.name}: ${one.error.message}`)) : "");
  for (const line of one.error ? errorLines(one.error) : [])
    output.line(style.dim(`${" ".repeat(FACT_COLUMNS)}${printable(line)}`));
  fact("cause", one.state === "completed" ? "" : (explainCause(one.cause) ?? ""));
  fact("cancelled", one.cancelRequestedAt ? one.cancelReason || "yes, no reason was given" : "");
  fact("result", one.result ? `${one.result.uri} (${one.result.sizeBytes} bytes)` : "");
  const deletedAt = one.checkpointsDeletedAt;
  fact(
    "checkpoints",
    deletedAt ? `deleted ${formatAge(deletedAt, clock.nowMs())}: a rerun runs every task again` : "",
  );
  drawAttempts(output, one);
  if (tasks.items.length > 0) output.line();
  const nameOf = new Map(tasks.items.map(({ path, name }) => [path, name]));
  const ordinals = new Map(one.attemptList.map((attempt) => [attempt.id, attempt.ordinal]));
  for (const group of together(tasks.items, likeness)) {
    const [first] = group;
    if (first === undefined) continue;
    const attempt = ordinals.size > 1 ? style.dim(`#${ordinals.get(first.attemptId) ?? "?"} `) : "";
    const line =
      group.length > 1 ? groupLine(group, style) : taskLine(first, { style, nowMs: clock.nowMs() });
    output.line(`${attempt}${line}${sourcesText(group, { nameOf, style })}`);
  }
  if (tasks.next !== null)
    output.line(style.dim(`… and more; the run's page in the dashboard shows all of them`));
  if (children.items.length > 0) {
    output.line();
    output.table(
      ["CHILD RUN", "DEPLOYMENT OR TASK", "POOL", "STATE", "TOOK"],
      children.items.toReversed().map((child) => childRow(child, invocation)),
    );
    if (children.next !== null) output.line(style.dim(`Only the latest ${CHILDREN_MAX} are listed.`));
  }
  const opener = storedOpener(connection, output);
  for (const artifact of artifacts.items) {
    output.line();
    for (const line of artifactLines(await opener.artifact(one.id, artifact), style)) output.line(line);
  }
  if (one.state !== "completed" && isFinalRunState(one.state)) output.line();
  tellNext(output, one);
}

function drawAttempts(output: Output, { attemptList }: Run): void {
  if (attemptList.length === 0) return;
  output.line();
  output.table(
    ["ATTEMPT", "STATE", "WORKER", "TOOK", "NOTE"],
    attemptList.map((attempt) => [
      `#${attempt.ordinal}`,
      describeState(attempt, output.style),
      attempt.worker?.name ?? "",
      durationBetween(attempt.startedAt, attempt.endedAt),
      noteOf(attempt),
    ]),
  );
}

function noteOf({ state, releaseReason, endedAt, reportedAt }: Run["attemptList"][number]): string {
  // A completed attempt has started after all.
  const notes = state === "completed" || releaseReason === null ? [] : [releaseReason];
  if (endedAt !== null && reportedAt !== null)
    notes.push(`reported ${durationBetween(endedAt, reportedAt)} after its end`);
  return notes.join("; ");
}
