import { commandsPage } from "./commands.ts";
import { configurationPage } from "./configuration.ts";
import { contractPages } from "./contract.ts";
import { deploymentsPage } from "./deployments.ts";
import { journeyPage } from "./journey.ts";
import type { Page } from "./page.ts";
import { pythonPage } from "./python.ts";
import { attemptPage } from "./worker.ts";

/** All pages that are generated from code, whole or in part. */
export function referencePages(): Page[] {
  const python = pythonPage();
  return [
    ...contractPages(),
    commandsPage(),
    configurationPage(),
    deploymentsPage(),
    journeyPage(),
    attemptPage(),
    ...(python === null ? [] : [python]),
  ];
}
