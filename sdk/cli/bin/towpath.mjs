#!/usr/bin/env node
/**
 * The `towpath` command of this repository. Its sources need a Node that runs TypeScript as it is; where the machine's
 * own does not, what installs this repository finds one and runs the command with it.
 * Node's built-ins alone, in what Node 20.19 understands.
 */
const target = process.features.typescript ? "../src/main.ts" : "../../../infra/bootstrap/towpath.mjs";
await import(new URL(target, import.meta.url).href);
