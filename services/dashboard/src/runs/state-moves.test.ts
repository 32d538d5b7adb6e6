import { RUN_STATES, RUN_TRANSITIONS } from "@towpath/contract";
import { expect, test } from "vitest";
import { arrowsOf, movesFrom } from "./state-moves.ts";

test("every transition of the table is on an arrow between its states", () => {
  const ways = arrowsOf(RUN_STATES);
  expect(new Set(ways.flatMap(({ moves }) => moves))).toEqual(new Set(Object.keys(RUN_TRANSITIONS)));
  expect(ways.filter(({ from, to }) => from === "running" && to === "ready")).toEqual([
    { from: "running", to: "ready", moves: expect.arrayContaining(["suspend", "reassign"]) },
  ]);
  expect(new Set(ways.map(({ from, to }) => `${from} ${to}`)).size).toBe(ways.length);
});

test("no transition leaves a final state", () => {
  expect(movesFrom("completed")).toEqual([]);
});
