/** The views of the screen: open questions, answered questions, other waits. */
export const WAIT_VIEWS = ["questions", "answered", "others"] as const;
export type WaitView = (typeof WAIT_VIEWS)[number];

/** Reads the address. Unknown values are left out. */
export function readWaitSearch(search: Record<string, unknown>): { readonly view?: WaitView } {
  const view = WAIT_VIEWS.find((one) => one === search.view);
  return view === undefined ? {} : { view };
}
