import type { Client } from "@towpath/client";
import { type Json, Problem, type RerunPlan, type Run, uuidv7 } from "@towpath/contract";
import { EXIT, Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { storedOpener } from "../logs/stored.ts";
import { printable, type Style } from "../output.ts";
import { findRunId } from "./find.ts";
import { followRun } from "./follow.ts";
import { exitOfState } from "./outcome.ts";
import { parseParameters } from "./parameters.ts";
import { callLabel, placeOf, together } from "./task-groups.ts";

/** The arguments of `towpath rerun`. */
export interface RerunRequest {
  readonly id: string;
  readonly fromFailure: boolean;
  readonly sameVersion: boolean;
  readonly given: readonly string[];
  /** Prints the plan and starts nothing. */
  readonly plan: boolean;
  readonly watch: boolean;
}

/** At most this many reasons and calls of a plan are printed. */
const REASONS_MAX = 3;
const STEPS_MAX = 20;

const grouped = (count: number) => count.toLocaleString("en-US");

/** A plan as one line: what is reused, what runs, and why. @param args.asks Whether the earlier run asked a question. */
export function planLine(
  plan: RerunPlan,
  args: { isChanged: boolean; asks?: boolean; style: Style },
): string {
  const { style } = args;
  const shown = plan.reasons.slice(0, REASONS_MAX).map(({ reason }) => printable(reason));
  const more = plan.reasons.length - shown.length;
  const all = [
    ...shown,
    ...(more > 0 ? [`${more} more reasons`] : []),
    ...(args.isChanged ? ["the parameters changed, so tasks whose input changes run too"] : []),
  ];
  const why = all.length === 0 ? "" : style.dim(` · because ${all.join("; ")}`);
  if (plan.reuse + plan.run === 0) return `no task is known${why}: everything runs from the beginning`;
  const least = plan.run === 0 ? "" : "at least ";
  const then = args.asks === true ? " and what follows them; questions are asked again" : "";
  return `reuse ${style.bold(grouped(plan.reuse))} · run ${least}${style.bold(grouped(plan.run))}${then}${why}`;
}

function stepLine(group: readonly RerunPlan["tasks"][number][], style: Style): string {
  const [first] = group;
  if (first === undefined) return "";
  const mark = first.action === "reuse" ? style.dim("↺") : style.cyan("▸");
  const called =
    group.length > 1
      ? `${printable(first.name)}${style.dim(` × ${grouped(group.length)}`)}`
      : callLabel(first).label;
  const reason = first.failed
    ? "it failed and the flow handled the error: the same error is thrown again"
    : first.reason;
  return `  ${mark} ${called}${reason === null ? "" : style.dim(`  ${printable(reason)}`)}`;
}

/** The calls of a plan, one line for each group of similar calls. */
export function planSteps(plan: RerunPlan, style: Style): string[] {
  const groups = together(plan.tasks, (one) => [placeOf(one), one.action, one.reason, one.failed].join("\n"));
  const shown = groups.slice(0, STEPS_MAX);
  const lines = shown.map((group) => stepLine(group, style));
  const calls = plan.reuse + plan.run;
  const more = calls - shown.flat().length;
  if (more <= 0) return lines;
  const listed = grouped(plan.tasks.length);
  const cut =
    plan.tasks.length < calls ? `: the plan lists the first ${listed} of ${grouped(calls)} calls` : "";
  return [...lines, style.dim(`  and ${grouped(more)} more${cut}`)];
}

/** The parameters of the new run, if they differ. */
async function parametersOf(
  client: Client,
  args: { source: Run; request: RerunRequest },
): Promise<{ [key: string]: Json } | undefined> {
  const { source, request } = args;
  if (request.given.length === 0) return undefined;
  const { parameters, latest } = await client.getDeployment({ params: { name: source.deployment } });
  // The schema of an older version is not available here. The control plane checks against it.
  const schema = request.sameVersion && latest.version !== source.version ? {} : parameters;
  return await parseParameters(source.deployment, { schema, given: request.given, base: source.parameters });
}

/** Adds a next step to a refusal. */
function saidBetter(failure: unknown, args: { id: string; source: Run | null }): unknown {
  const { source } = args;
  if (!(failure instanceof Problem)) return failure;
  if (failure.code === "version-below-floor")
    return new Failure(failure.detail, {
      exit: "invalidInput",
      code: failure.code,
      cause: failure,
      next: [
        `\`towpath rerun ${args.id}\` uses the latest version`,
        ...(source === null
          ? []
          : [
              `\`towpath deployments rollback ${printable(source.deployment)} ${source.version}\` signs the old code as a new version; then rerun with the latest version`,
              `or set \`floor: ${source.version}\` of the deployment, run \`towpath deploy\`, and rerun with --same-version`,
            ]),
      ],
    });
  if (failure.code !== "run-transition-not-allowed") return failure;
  return new Failure(failure.detail, {
    exit: "invalidInput",
    code: failure.code,
    cause: failure,
    next: [`\`towpath logs ${args.id} -f\` follows it until it ends`],
  });
}

async function planAndCreate(invocation: Invocation, request: RerunRequest): Promise<Run | null> {
  const { output, clock } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const runId = await findRunId(client, request.id);
  const { fromFailure, sameVersion } = request;
  let source: Run | null = null;
  try {
    source = await client.getRun({ params: { runId } });
    const parameters = await parametersOf(client, { source, request });
    const query = { fromFailure: flag(fromFailure), sameVersion: flag(sameVersion) };
    const [plan, { items: questions }] = await Promise.all([
      client.planRerun({ params: { runId }, query }),
      client.listWaits({ params: { runId }, query: { kind: "input", limit: 1 } }),
    ]);
    const versions =
      plan.version === plan.versionBefore
        ? `version ${plan.version}`
        : `version ${plan.version} (it was ${plan.versionBefore})`;
    output.line(`${style.bold(plan.deployment)} ${versions}`);
    const asks = questions.length > 0;
    output.line(`  ${planLine(plan, { isChanged: parameters !== undefined, asks, style })}`);
    if (request.plan) {
      for (const line of planSteps(plan, style)) output.line(line);
      output.data(plan);
      return null;
    }
    const id = uuidv7(clock.nowMs());
    const body = { id, fromFailure, sameVersion, ...(parameters === undefined ? {} : { parameters }) };
    return await client.rerunRun({ params: { runId }, body });
  } catch (failure) {
    throw saidBetter(failure, { id: runId, source });
  }
}

function flag(isSet: boolean): "true" | "false" {
  return isSet ? "true" : "false";
}

/** `towpath rerun RUN`. @returns The exit code; with `--watch` that of the run's outcome. */
export async function rerun(invocation: Invocation, request: RerunRequest): Promise<number> {
  const { output } = invocation;
  const { style } = output;
  const made = await planAndCreate(invocation, request);
  if (made === null) return EXIT.ok;
  output.line(
    `${style.green("✓")} run ${style.bold(made.id)} of ${made.deployment}, version ${made.version}`,
  );
  if (!request.watch) {
    output.data(made);
    output.next(`\`towpath logs ${made.id} -f\` follows the run`);
    return EXIT.ok;
  }
  const connection = await invocation.connect();
  const opener = storedOpener(connection, output);
  const ended = await followRun(invocation, { client: connection.client, runId: made.id, opener });
  return EXIT[exitOfState(ended.state)];
}
