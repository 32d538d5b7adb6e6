import { type Arena, sized } from "../arena.ts";
import type { Row } from "../figures.ts";
import { bySides, openSide, type SideOptions } from "../sides.ts";

/** On, beside off: what one part of privacy costs a run. */
async function cost(
  arena: Arena,
  args: { row: string; on: SideOptions; off: SideOptions; what: string },
): Promise<Row> {
  const rounds = sized(arena, { tiny: 1, quick: 12, full: 24 });
  const steps = sized(arena, { tiny: 5, quick: 200, full: 1_000 });
  await using on = await openSide(arena, args.on);
  await using off = await openSide(arena, args.off);
  const [ours, other] = await bySides([on, off], { rounds, steps });
  const ratios = {
    dispatch: ours.dispatch / other.dispatch,
    "first line": ours["first line"] / other["first line"],
    step: ours.step / other.step,
  };
  return {
    row: args.row,
    unit: "ms",
    ours,
    peers: { off: other, "on / off": ratios },
    ratio: Math.max(...Object.values(ratios)),
    aim: "each at most 1.3",
    how:
      `${args.what} Through a real worker, on and off by turns, each with a control plane of its own: from the API call until the start is ` +
      `confirmed, until the first line, and for each of ${steps} steps in sequence with a journalled result. Lower quartiles of ${rounds} rounds. ` +
      "The ratio is the largest of the three.",
  };
}

/** Sealing: parameters, log lines and the rest cross as ciphertext. */
export function sealedRow(arena: Arena): Promise<Row> {
  return cost(arena, {
    row: "sealed",
    on: { isSealed: true },
    off: {},
    what: "A sealed workspace, beside one that is not.",
  });
}

/** Keyed hashes and signed refs. The other side is a worker whose source lacks them, because no setting turns them off. */
export function signedRefsRow(arena: Arena): Promise<Row> {
  return cost(arena, {
    row: "signed-refs",
    on: {},
    off: { signs: false },
    what: "Keyed hashes and signed refs, beside a worker whose source was changed so that it has neither.",
  });
}

/** A user for each attempt. Only a worker that is root on Linux can do it. */
export function runAsRow(arena: Arena): Promise<Row> {
  return cost(arena, {
    row: "run-as",
    on: { hasUsers: true },
    off: {},
    what: "A user of its own for each attempt, beside attempts that run as the worker's user.",
  });
}
