import { readFileSync } from "node:fs";
import { RUN_STATES, RUN_TRANSITIONS } from "@towpath/contract";
import { diagram } from "./contract.ts";
import type { Page } from "./page.ts";

const PATH = "docs/explanation/how-a-run-travels.md";
const BEGIN =
  "<!-- diagram: written by `npm run reference` from sdk/contract. Edit the contract, not this part. -->";
const END = "<!-- /diagram -->";

/** The explanation of how a run travels, with the diagram of a run's states in it. @throws Error if the page has no markers for it. */
export function journeyPage(): Page {
  const page = readFileSync(new URL(`../../${PATH}`, import.meta.url), "utf8");
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${PATH} needs a place: ${BEGIN} … ${END}`);
  const drawn = diagram(RUN_STATES, RUN_TRANSITIONS);
  return { path: PATH, text: `${page.slice(0, begin)}${BEGIN}\n\n${drawn}\n\n${page.slice(end)}` };
}
