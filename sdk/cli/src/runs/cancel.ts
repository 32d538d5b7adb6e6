import type { Client } from "@towpath/client";
import {
  deploymentPartsOf,
  isFinalRunState,
  LIMITS,
  Problem,
  RUN_STATES,
  type RunSummary,
} from "@towpath/contract";
import { deploymentFilter, typedName } from "../deployments/find.ts";
import { EXIT, Failure } from "../failure.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import { instantText } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { type Output, printable } from "../output.ts";
import { findRunId } from "./find.ts";
import { explainNone, narrowingWords, type RunsQuery, runQueryOf } from "./narrow.ts";
import { describeState } from "./outcome.ts";

/** The arguments of `towpath runs cancel`. */
export interface CancelRequest {
  readonly id: string | undefined;
  readonly reason: string;
  /** Does not ask first. */
  readonly yes: boolean;
  /** Cancels all unfinished runs that match. */
  readonly query: RunsQuery;
}

/** At most this many runs are cancelled by one command. */
const RUNS_MAX = 10_000;
/** At most this many runs are shown before the question, and refusals after it. */
const SHOWN_MAX = 10;

const OPEN_STATES = RUN_STATES.filter((state) => !isFinalRunState(state) && state !== "cancelling");

/** `towpath runs cancel [RUN]`: one run, or all unfinished runs that match filters. @returns The exit code. */
export async function cancelRuns(invocation: Invocation, request: CancelRequest): Promise<number> {
  const isFiltered = narrowingWords(request.query).length > 0;
  if ((request.id === undefined) !== isFiltered)
    throw new Failure(
      isFiltered ? "Give a run or filters, not both." : "Nothing says which runs to cancel.",
      {
        exit: "usage",
        next: [
          "`towpath runs cancel RUN` cancels one run; `towpath runs cancel --deployment NAME` cancels all its runs",
        ],
      },
    );
  if (request.id === undefined) return await cancelMatching(invocation, request);
  return await cancelOne(invocation, { ...request, id: request.id });
}

function declined(output: Output): number {
  output.line("Nothing was cancelled.");
  return EXIT.interrupted;
}

async function cancelOne(
  invocation: Invocation,
  args: { id: string; reason: string; yes: boolean },
): Promise<number> {
  const { output } = invocation;
  const client = await invocation.client();
  const params = { runId: await findRunId(client, args.id) };
  const { deployment, state, cancelRequestedAt } = await client.getRun({ params });
  if (!args.yes && canAsk(invocation)) {
    if (
      !isFinalRunState(state) &&
      cancelRequestedAt === null &&
      !(await confirmed(invocation, `Cancel run ${params.runId} of ${deployment} (${state})?`))
    )
      return declined(output);
  }
  try {
    const one = await client.cancelRun({ params, body: { reason: args.reason } });
    output.data(one);
    output.line(`${describeState(one, output.style)} ${one.id}`);
    if (isFinalRunState(state)) output.line("  It was cancelled already.");
    if (cancelRequestedAt !== null && !isFinalRunState(one.state))
      output.line(
        `  It is already being cancelled: asked ${instantText(cancelRequestedAt, invocation.clock.nowMs())}.`,
      );
    if (!isFinalRunState(one.state)) output.next(`\`towpath logs ${one.id} -f\` follows it until it ends`);
    return EXIT.ok;
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "run-transition-not-allowed") throw failure;
    const ended = await client.getRun({ params });
    throw new Failure(`The run has already ended as ${ended.state}, so it cannot be cancelled.`, {
      exit: "invalidInput",
      code: failure.code,
      cause: failure,
      next: [`\`towpath runs show ${ended.id}\` shows it`],
    });
  }
}

/** All unfinished runs that match. @throws Failure if there are too many for one command. */
async function matching(client: Client, query: RunsQuery, nowMs: number): Promise<RunSummary[]> {
  const found: RunSummary[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.listRuns({
      query: {
        state: OPEN_STATES.join(","),
        ...runQueryOf(query, nowMs),
        limit: LIMITS.pageRows,
        ...(cursor === undefined ? {} : { cursor }),
      },
    });
    const isMeant = ({ state, deployment }: RunSummary) =>
      OPEN_STATES.includes(state) &&
      // A control plane of an earlier release ignores the filter.
      (query.stage === undefined || deploymentPartsOf(deployment).stage === query.stage);
    found.push(...page.items.filter(isMeant));
    if (found.length > RUNS_MAX)
      throw new Failure(`More than ${RUNS_MAX} runs match.`, {
        exit: "usage",
        next: ["add filters, such as --in-state or --since, and cancel them in parts"],
      });
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return found;
}

async function cancelMatching(invocation: Invocation, request: CancelRequest): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const { deployment: written, stage } = request.query;
  const query = { ...request.query, ...(await deploymentFilter(client, written, stage)) };
  const runs = await matching(client, query, invocation.clock.nowMs());
  if (runs.length === 0) {
    output.data({ items: [] });
    output.next(
      await explainNone(
        client,
        { ...query, deployment: typedName(written, query.deployment) },
        "unfinished run",
      ),
    );
    return EXIT.ok;
  }
  const words = `${runs.length} unfinished ${runs.length === 1 ? "run" : "runs"}`;
  if (!request.yes) {
    if (!canAsk(invocation))
      throw new Failure(`${words} would be cancelled.`, {
        exit: "usage",
        code: "not-confirmed",
        next: ["add --yes to cancel without a question"],
      });
    for (const run of runs.slice(0, SHOWN_MAX))
      output.line(`  ${run.id}  ${run.deployment}  ${describeState(run, style)}`);
    if (runs.length > SHOWN_MAX) output.line(style.dim(`  and ${runs.length - SHOWN_MAX} more`));
    if (!(await confirmed(invocation, `Cancel ${words}?`))) return declined(output);
  }
  const items = await cancelAll(client, { runIds: runs.map(({ id }) => id), reason: request.reason });
  output.data({ items });
  const refused = items.flatMap(({ runId, problem }) => (problem === null ? [] : [{ runId, problem }]));
  output.line(`${style.green("✓")} cancelled ${items.length - refused.length} runs`);
  for (const { runId, problem } of refused.slice(0, SHOWN_MAX))
    output.note(`${style.red("✗")} ${runId}: ${printable(problem.detail)}`);
  if (refused.length > SHOWN_MAX) output.note(`  and ${refused.length - SHOWN_MAX} more`);
  return refused.length > 0 ? EXIT.invalidInput : EXIT.ok;
}

async function cancelAll(client: Client, args: { runIds: readonly string[]; reason: string }) {
  const items: Awaited<ReturnType<Client["cancelRuns"]>>["items"] = [];
  for (let from = 0; from < args.runIds.length; from += LIMITS.bulkRuns) {
    const runIds = args.runIds.slice(from, from + LIMITS.bulkRuns);
    items.push(...(await client.cancelRuns({ body: { runIds, reason: args.reason } })).items);
  }
  return items;
}
