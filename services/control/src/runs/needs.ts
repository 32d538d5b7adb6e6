import { type Amounts, type ComputeNeeds, needsOf } from "@towpath/contract";

/** What needs nothing but a place. */
export const NO_NEEDS = "";

/** What a run needs as one text: equal needs are equal texts. Empty: nothing but a place. */
export function needsText(compute: ComputeNeeds): string {
  const needs = needsOf(compute);
  const names = Object.keys(needs).sort();
  return names.length === 0
    ? NO_NEEDS
    : JSON.stringify(Object.fromEntries(names.map((name) => [name, needs[name]])));
}

/** What `needsText` has written. */
export function readNeeds(text: string): Amounts {
  // Only `needsText` writes it.
  return text === NO_NEEDS ? {} : (JSON.parse(text) as Amounts);
}
