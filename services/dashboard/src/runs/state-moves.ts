import { isFinalRunState, type Overview, RUN_TRANSITIONS, type RunState } from "@towpath/contract";

/** A way from one state to another, with the moves that take it. */
export interface Way {
  readonly from: RunState;
  readonly to: RunState;
  readonly moves: readonly string[];
}

/** The moves out of a state, from the table that the server goes by. */
export function movesFrom(state: RunState): { move: string; to: readonly RunState[] }[] {
  return Object.entries(RUN_TRANSITIONS).flatMap(([move, { from, to }]) => {
    const states: readonly RunState[] = from;
    return states.includes(state) ? [{ move, to: to as readonly RunState[] }] : [];
  });
}

/** Every way between states that some move takes, once. */
export function waysOf(states: readonly RunState[]): Way[] {
  const steps = states.flatMap((from) =>
    movesFrom(from).flatMap(({ move, to }) => to.map((next) => ({ from, to: next, move }))),
  );
  return [...Map.groupBy(steps, ({ from, to }) => `${from} ${to}`).values()].flatMap((alike) => {
    const [first] = alike;
    return first ? [{ from: first.from, to: first.to, moves: alike.map(({ move }) => move) }] : [];
  });
}

/** How many runs stand in a state now; of a final one, of those of the last day. */
export function countOf(overview: Overview, state: RunState): number {
  const rows = isFinalRunState(state) ? overview.activity : overview.live;
  return rows.reduce((sum, row) => sum + (row.state === state ? row.runs : 0), 0);
}
