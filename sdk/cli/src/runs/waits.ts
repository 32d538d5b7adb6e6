import { type ListedWait, shortId, waitText } from "@towpath/contract";
import { deploymentFilter, typedName } from "../deployments/find.ts";
import { formatAge } from "../kernel/duration.ts";
import { instantText, localTimes } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable, withCommands } from "../output.ts";
import { pageNumber } from "../pages.ts";
import { howToAnswer, isQuestion, type Question } from "./answer.ts";

/** The rows of a page by default. */
export const WAITS_SHOWN = 50;

/** The arguments of `towpath waits`. */
export interface WaitsQuery {
  readonly deployment: string | undefined;
  /** Whether waits for events, jobs, runs and times are listed, too. */
  readonly all: boolean;
  readonly limit: number;
  /** The number of a page, from 1. */
  readonly page: number;
}

const whatRuns = ({ deployment, run }: ListedWait) =>
  run?.name == null ? deployment : `${deployment} ${printable(run.name)}`;

/** `towpath waits`: lists open questions, or with `--all` every wait. */
export async function listWaits(invocation: Invocation, args: WaitsQuery): Promise<void> {
  const { output } = invocation;
  const { all, limit, page: number } = args;
  const client = await invocation.client();
  const { deployment } = await deploymentFilter(client, args.deployment);
  const typed = typedName(args.deployment, deployment);
  const narrowed = { ...(all ? {} : { kind: "input" }), deployment, limit };
  const read = (cursor: string | undefined) => client.listAllWaits({ query: { ...narrowed, cursor } });
  const page = await pageNumber(number, await read(undefined), read);
  output.data(page);
  if (page.items.length === 0) return output.next(none({ ...args, deployment: typed }));
  if (all) showAll(invocation, page.items);
  else showQuestions(invocation, page.items);
  if (page.next === null) return;
  const again = [
    "towpath waits",
    ...(all ? ["--all"] : []),
    ...(typed === undefined ? [] : ["--deployment", typed]),
    ...(limit === WAITS_SHOWN ? [] : ["--limit", String(limit)]),
    "--page",
    String(number + 1),
  ].join(" ");
  output.line(output.style.dim(`More: ${output.style.typed(again)}`));
}

function none({ deployment, all }: WaitsQuery): string {
  const of = deployment === undefined ? "" : ` of ${deployment}`;
  return all
    ? `no run${of} waits`
    : `no run${of} asks a question now; \`towpath waits --all\` lists other waits`;
}

function showQuestions({ output, clock }: Invocation, waits: readonly ListedWait[]): void {
  const { style } = output;
  const asking = Map.groupBy(waits, (one) => one.runId);
  for (const wait of waits) {
    if (!isQuestion(wait)) continue;
    const until = wait.deadlineAt === null ? "" : `, until ${instantText(wait.deadlineAt, clock.nowMs())}`;
    const facts = `${whatRuns(wait)}, asked ${formatAge(wait.createdAt, clock.nowMs())}, needs the role ${wait.who}${until}`;
    output.line(`${style.bold(printable(wait.title ?? ""))}  ${style.dim(facts)}`);
    for (const line of linesFor(wait, asking.get(wait.runId)?.length ?? 1))
      output.line(`  ${withCommands(line, style)}`);
  }
}

/** How to answer a question; names the question if its run asks several. */
function linesFor(question: Question, asked: number): string[] {
  const lines = howToAnswer(question, question.runId);
  return asked === 1
    ? lines
    : lines.map((line) =>
        line.replaceAll(`answer ${question.runId}`, `answer ${question.runId} --question ${question.id}`),
      );
}

function showAll({ output, clock }: Invocation, waits: readonly ListedWait[]): void {
  output.table(
    ["RUN", "DEPLOYMENT", "KIND", "WAITS FOR", "SINCE", "DEADLINE"],
    waits.map((wait) => {
      const nowMs = clock.nowMs();
      const since = formatAge(wait.createdAt, nowMs);
      const deadline = wait.deadlineAt === null ? "" : instantText(wait.deadlineAt, nowMs);
      return [
        shortId(wait.runId),
        whatRuns(wait),
        wait.kind,
        localTimes(printable(waitText(wait))),
        since,
        deadline,
      ];
    }),
  );
  output.next("`towpath why RUN` says what would unblock a run");
}
