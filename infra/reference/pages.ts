import { commandsPage } from "./commands.ts";
import { configurationPage } from "./configuration.ts";
import { contractPages } from "./contract.ts";
import type { Page } from "./page.ts";

/** All pages of the reference that are made of code. */
export function referencePages(): Page[] {
  return [...contractPages(), commandsPage(), configurationPage()];
}
