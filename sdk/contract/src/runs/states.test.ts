import { describe, expect, test } from "vitest";
import {
  ATTEMPT_STATES,
  ATTEMPT_TRANSITIONS,
  FINAL_ATTEMPT_STATES,
  FINAL_RUN_STATES,
  FINAL_TASK_RUN_STATES,
  isCancellable,
  isFinalRunState,
  RUN_STATES,
  RUN_TRANSITIONS,
  TASK_RUN_STATES,
  TASK_RUN_TRANSITIONS,
  type Transition,
} from "./states.ts";

interface Machine {
  name: string;
  states: readonly string[];
  table: Record<string, Transition<string>>;
  initial: readonly string[];
  final: readonly string[];
}

const machines: Machine[] = [
  {
    name: "run",
    states: RUN_STATES,
    table: RUN_TRANSITIONS,
    initial: ["scheduled", "blocked", "ready"],
    final: FINAL_RUN_STATES,
  },
  {
    name: "attempt",
    states: ATTEMPT_STATES,
    table: ATTEMPT_TRANSITIONS,
    initial: ["ready"],
    final: FINAL_ATTEMPT_STATES,
  },
  {
    name: "task run",
    states: TASK_RUN_STATES,
    table: TASK_RUN_TRANSITIONS,
    initial: ["pending"],
    final: FINAL_TASK_RUN_STATES,
  },
];

describe.each(machines)("the state table of a $name", ({ states, table, initial, final }) => {
  const moves = Object.values(table);

  test("names only known states", () => {
    for (const { from, to } of moves) for (const state of [...from, ...to]) expect(states).toContain(state);
  });

  test("reaches every state from where it begins", () => {
    const seen = new Set(initial);
    let before = 0;
    while (seen.size > before) {
      before = seen.size;
      for (const { from, to } of moves)
        if (from.some((state) => seen.has(state))) for (const state of to) seen.add(state);
    }
    expect([...seen].sort()).toEqual([...states].sort());
  });

  test("leads from every state to an end", () => {
    for (const start of states) {
      const seen = new Set([start]);
      for (const _ of states)
        for (const { from, to } of moves)
          if (from.some((state) => seen.has(state))) for (const state of to) seen.add(state);
      expect(
        [...seen].some((state) => final.includes(state)),
        start,
      ).toBe(true);
    }
  });

  test("never leaves a final state", () => {
    for (const { from } of moves) for (const state of from) expect(final).not.toContain(state);
  });
});

test("A run ends in one of four ways", () => {
  expect(FINAL_RUN_STATES).toEqual(["completed", "failed", "crashed", "cancelled"]);
});

test("Whatever has not ended and is not ending can be cancelled", () => {
  for (const state of RUN_STATES)
    expect(isCancellable(state)).toBe(!isFinalRunState(state) && state !== "cancelling");
});
