import { expect, test } from "vitest";
import { IllegalMove, isBusy, isOver, movePhase, PHASE_MOVES, PHASES, type PhaseMove } from "./phases.ts";

test("every move goes where the table says, and every other move is refused", () => {
  for (const phase of PHASES) {
    for (const move of Object.keys(PHASE_MOVES) as PhaseMove[]) {
      const { from, to } = PHASE_MOVES[move];
      if (from.some((one) => one === phase)) expect(movePhase(phase, move)).toBe(to);
      else expect(() => movePhase(phase, move)).toThrow(IllegalMove);
    }
  }
});

test("a phase that is over takes no slot, and every other phase can get there", () => {
  for (const phase of PHASES) {
    if (isOver(phase)) expect(isBusy(phase)).toBe(false);
    else
      expect(
        Object.values(PHASE_MOVES).some(
          ({ from, to }) => (from.some((one) => one === phase) && isOver(to)) || to === "closing",
        ),
      ).toBe(true);
  }
});
