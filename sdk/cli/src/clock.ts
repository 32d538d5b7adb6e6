/** The time, as the CLI reads it. Tests have one of their own. */
export interface Clock {
  nowMs(): number;
}

/** This machine's clock. */
export const machineClock: Clock = { nowMs: () => Date.now() };
