/** What became of an attack. */
export interface Verdict {
  /** Whether the worker withstood it. */
  readonly held: boolean;
  /** The fact by which it was judged: the worker's own words, or what was found. */
  readonly why: string;
}

/** The worker withstood it. */
export const held = (why: string): Verdict => ({ held: true, why });
/** The attack got through. */
export const broken = (why: string): Verdict => ({ held: false, why });
