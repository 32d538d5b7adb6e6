import { type Amounts, type ComputeNeeds, needsOf } from "@towpath/contract";

/** The needs of a run that needs only a slot. */
export const NO_NEEDS = "";

/** The needs of a run as one text. Equal needs are equal texts. Empty: only a slot. */
export function needsText(compute: ComputeNeeds): string {
  const needs = needsOf(compute);
  const names = Object.keys(needs).sort();
  return names.length === 0
    ? NO_NEEDS
    : JSON.stringify(Object.fromEntries(names.map((name) => [name, needs[name]])));
}

/** Parses the text of `needsText`. */
export function readNeeds(text: string): Amounts {
  // Only `needsText` writes it.
  return text === NO_NEEDS ? {} : (JSON.parse(text) as Amounts);
}
