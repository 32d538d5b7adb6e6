/** Slots of a named limit: its name for one, or how many. */
export type LimitUse = string | { readonly name: string; readonly slots?: number | undefined };
