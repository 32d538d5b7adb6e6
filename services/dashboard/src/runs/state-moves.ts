import { isFinalRunState, type Overview, RUN_TRANSITIONS, type RunState } from "@towpath/contract";

/** An arrow from one state to another, with its transitions. */
export interface Arrow {
  readonly from: RunState;
  readonly to: RunState;
  readonly moves: readonly string[];
}

/** The transitions out of a state, from the table that the server uses. */
export function movesFrom(state: RunState): { move: string; to: readonly RunState[] }[] {
  return Object.entries(RUN_TRANSITIONS).flatMap(([move, { from, to }]) => {
    const states: readonly RunState[] = from;
    return states.includes(state) ? [{ move, to: to as readonly RunState[] }] : [];
  });
}

/** All arrows between states. */
export function arrowsOf(states: readonly RunState[]): Arrow[] {
  const steps = states.flatMap((from) =>
    movesFrom(from).flatMap(({ move, to }) => to.map((next) => ({ from, to: next, move }))),
  );
  return [...Map.groupBy(steps, ({ from, to }) => `${from} ${to}`).values()].flatMap((alike) => {
    const [first] = alike;
    return first ? [{ from: first.from, to: first.to, moves: alike.map(({ move }) => move) }] : [];
  });
}

/** The number of runs in a state now. For a final state: of those created in the last day. */
export function countOf(overview: Overview, state: RunState): number {
  const rows = isFinalRunState(state) ? overview.activity : overview.live;
  return rows.reduce((sum, row) => sum + (row.state === state ? row.runs : 0), 0);
}
