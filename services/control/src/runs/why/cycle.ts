import type { RunWhy } from "@towpath/contract";
import type { Clock, Queryable } from "../../kernel/index.ts";
import { type Edge, readEdges } from "./edges.ts";
import { readRunFacts } from "./facts.ts";

/**
 * The circle of runs that a run is part of: each waits for the next, the last for the first. A run continues as soon as
 * one of the holders ends, so a run counts as stuck only if all holders are stuck.
 * @returns one edge of each run of the circle, from this run's on if it is part of it; empty if something will continue
 * by itself.
 */
export function circleOf(runId: string, edges: readonly Edge[]): Edge[] {
  const stuck = new Set([runId, ...edges.flatMap((edge) => [edge.waiter, edge.holder])]);
  const stuckBy = (node: string): Edge | undefined => {
    const mine = Map.groupBy(
      edges.filter((edge) => edge.waiter === node),
      (edge) => edge.on,
    );
    return [...mine.values()].find((group) => group.every((edge) => stuck.has(edge.holder)))?.[0];
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of stuck) if (stuckBy(node) === undefined) changed = stuck.delete(node) || changed;
  }
  return stuck.has(runId) ? walk(runId, stuckBy) : [];
}

/** Follows one way until it meets itself; what only leads to the circle is left out. */
function walk(runId: string, next: (node: string) => Edge | undefined): Edge[] {
  const path: Edge[] = [];
  let edge = next(runId);
  while (edge !== undefined && !path.includes(edge)) {
    path.push(edge);
    edge = next(edge.holder);
  }
  return edge === undefined ? [] : path.slice(path.indexOf(edge));
}

/**
 * The circle of runs that this run is part of, or waits for, and its text. A larger circle than the bounds is not
 * found.
 */
export async function findCircle(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; runId: string },
): Promise<Pick<RunWhy, "cycle" | "cycleText">> {
  const circle = circleOf(args.runId, await readEdges(from, clock, args));
  if (circle.length === 0) return { cycle: [], cycleText: null };
  const cycle = circle.map((edge) => edge.waiter);
  const facts = await readRunFacts(from, { workspaceId: args.workspaceId, runIds: cycle });
  const called = (runId: string) => `run ${runId} (${facts.get(runId)?.deployment ?? "?"})`;
  return { cycle, cycleText: circleText(args.runId, { circle, called }) };
}

/**
 * The text of a circle: which run waits for which and why, and what lets them continue.
 * @param args.called The name of a run as the subject of a sentence.
 */
export function circleText(
  runId: string,
  { circle, called }: { circle: readonly Edge[]; called: (runId: string) => string },
): string {
  const steps = circle.map((edge) => `${called(edge.waiter)}${edge.text}`);
  return `${headText(runId, circle)}: ${steps.join("; ")}. ${remedyText(circle)}`;
}

function headText(runId: string, circle: readonly Edge[]): string {
  const isOneOf = circle.some((edge) => edge.waiter === runId);
  if (circle.length === 1)
    return isOneOf ? "It waits for itself" : "It waits for a run that waits for itself";
  const sure = circle.every((edge) => edge.sure);
  const wait = isOneOf || sure ? "wait" : "may wait";
  const those = `${circle.length} runs that ${wait} for each other in a circle, and none can continue`;
  if (!isOneOf) return `It waits for ${those}`;
  return sure ? `It is one of ${those}` : `It may be one of ${those}`;
}

/** Ids of runs grow with time: to cancel the youngest loses least. */
function remedyText(circle: readonly Edge[]): string {
  const youngest = circle
    .map((edge) => edge.waiter)
    .toSorted()
    .at(-1);
  const remedies = new Set(circle.flatMap((edge) => edge.remedy ?? []));
  const others = [...remedies].map((one) => `${one}, or `).join("");
  return `To resolve this: ${others}\`towpath runs cancel ${youngest}\`.`;
}
