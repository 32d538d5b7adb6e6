import type { Queryable } from "../../kernel/index.ts";
import { listEdges, type WaitEdge } from "../../limits/index.ts";
import { listParents } from "../store/facts.ts";
import { listWaitEdges } from "../waits/why.ts";

/** How far a look follows who waits for whom. */
const ROUNDS_MAX = 8;

/** Who waits for whom, as far as it was followed. */
export interface WaitGraph {
  readonly edges: readonly WaitEdge[];
  /** The run that started another, by the other's id: it may wait for the other's end. */
  readonly parents: ReadonlyMap<string, string>;
}

/** Follows what a run waits for: whose slots it lacks, what those wait for, and so on. */
async function readGraph(from: Queryable, a: { workspaceId: string; runId: string }): Promise<WaitGraph> {
  const { workspaceId } = a;
  const seen = new Set<string>();
  const edges: WaitEdge[] = [];
  let next = [a.runId];
  for (let round = 0; round < ROUNDS_MAX && next.length > 0; round++) {
    for (const id of next) seen.add(id);
    const found = [
      ...(await listEdges(from, { workspaceId, runIds: next })),
      ...(await listWaitEdges(from, { workspaceId, runIds: next })),
    ];
    edges.push(...found);
    next = [...new Set(found.map((edge) => edge.holder))].filter((id) => !seen.has(id));
  }
  return { edges, parents: await listParents(from, { workspaceId, runIds: [...seen, ...next] }) };
}

/**
 * The circle of runs that a run is part of: each waits for the next, the last for the first. A limit's line moves as soon
 * as one of its holders ends, so a run counts as stuck at a limit only if every holder is stuck itself.
 * @returns run ids, from this one on if it is part of it; empty if something will move by itself.
 */
export function circleOf(runId: string, { edges, parents }: WaitGraph): string[] {
  const nodes = new Set([runId, ...edges.flatMap((edge) => [edge.waiter, edge.holder])]);
  const stuck = new Set(nodes);
  const isStuck = (node: string): string | undefined => {
    const mine = Map.groupBy(
      edges.filter((edge) => edge.waiter === node),
      (edge) => edge.limitId,
    );
    for (const held of mine.values())
      if (held.every((edge) => stuck.has(edge.holder))) return held[0]?.holder;
    for (const [child, parent] of parents) if (parent === node && stuck.has(child)) return child;
    return undefined;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of stuck) if (isStuck(node) === undefined) changed = stuck.delete(node) || changed;
  }
  if (!stuck.has(runId)) return [];
  return walk(runId, isStuck);
}

/** Follows one way until it meets itself; what only leads to the circle is left out. */
function walk(runId: string, next: (node: string) => string | undefined): string[] {
  const path: string[] = [];
  let node: string | undefined = runId;
  for (; node !== undefined && !path.includes(node); node = next(node)) path.push(node);
  return path.slice(path.indexOf(node ?? runId));
}

/** The circle of runs that this one is part of, or leads to. Bounded: one that is larger is not found. */
export async function findCircle(
  from: Queryable,
  a: { workspaceId: string; runId: string },
): Promise<string[]> {
  return circleOf(a.runId, await readGraph(from, a));
}
