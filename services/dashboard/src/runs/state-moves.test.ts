import { RUN_STATES, RUN_TRANSITIONS } from "@towpath/contract";
import { expect, test } from "vitest";
import { arrowsOf, movesFrom } from "./state-moves.ts";

test("every move of the table is on some way, between states that it names", () => {
  const ways = arrowsOf(RUN_STATES);
  expect(new Set(ways.flatMap(({ moves }) => moves))).toEqual(new Set(Object.keys(RUN_TRANSITIONS)));
  expect(ways.filter(({ from, to }) => from === "running" && to === "ready")).toEqual([
    { from: "running", to: "ready", moves: expect.arrayContaining(["suspend", "reassign"]) },
  ]);
  expect(new Set(ways.map(({ from, to }) => `${from} ${to}`)).size).toBe(ways.length);
});

test("no move leaves a final state", () => {
  expect(movesFrom("completed")).toEqual([]);
});
