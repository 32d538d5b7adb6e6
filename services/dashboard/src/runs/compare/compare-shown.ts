/** Which calls of a comparison are listed, by their names in the address. */
export const SHOWN = ["differing", "slower", "one-sided", "all"] as const;
/** One of them. */
export type ShownCalls = (typeof SHOWN)[number];
