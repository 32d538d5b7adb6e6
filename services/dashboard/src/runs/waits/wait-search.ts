/** What the screen of waits shows: questions that are open, those that were answered, or whatever else is waited for. */
export const WAIT_VIEWS = ["questions", "answered", "others"] as const;
/** One of them. */
export type WaitView = (typeof WAIT_VIEWS)[number];

/** Reads the address; what it does not know is left out. */
export function readWaitSearch(search: Record<string, unknown>): { readonly view?: WaitView } {
  const view = WAIT_VIEWS.find((one) => one === search.view);
  return view === undefined ? {} : { view };
}
