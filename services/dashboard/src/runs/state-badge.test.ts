import { ATTEMPT_STATES, RUN_STATES, TASK_RUN_STATES } from "@towpath/contract";
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { type AnyState, StateShape } from "./state-badge.tsx";

/** The drawing of a state, without its colour. */
function drawing(state: AnyState): string {
  return renderToStaticMarkup(createElement(StateShape, { state })).replace(/ class="[^"]*"/, "");
}

test.each([
  ["run", RUN_STATES],
  ["attempt", ATTEMPT_STATES],
  ["task run", TASK_RUN_STATES],
] as const)("Each state of a %s has a shape of its own, whatever its colour", (_, states) => {
  const drawn = states.map((state) => drawing(state));
  for (const one of drawn) expect(one).toMatch(/<(path|circle) /);
  expect(new Set(drawn).size).toBe(states.length);
});
