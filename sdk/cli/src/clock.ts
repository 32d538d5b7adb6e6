/** The CLI's clock. Tests use their own. */
export interface Clock {
  nowMs(): number;
}

/** This machine's clock. */
export const machineClock: Clock = { nowMs: () => Date.now() };
