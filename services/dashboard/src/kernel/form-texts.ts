import { type Fault, Problem } from "@towpath/contract";

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

/** A duration as forms take it, to the millisecond: `1h30m`. */
export function durationInput(ms: number): string {
  let rest = ms;
  const parts = UNITS.map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count === 0 ? "" : `${count}${unit}`;
  });
  return parts.join("") || "0s";
}

/** The refusal of a form before it is sent. */
export function refusalOf(faults: readonly Fault[]): Problem {
  return new Problem("bad-request", faults.map(({ message }) => message).join(" "), { faults });
}
