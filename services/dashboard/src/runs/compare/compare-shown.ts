/** The filters for the calls of a comparison, as they are named in the address. */
export const SHOWN = ["differing", "slower", "one-sided", "all"] as const;
export type ShownCalls = (typeof SHOWN)[number];
