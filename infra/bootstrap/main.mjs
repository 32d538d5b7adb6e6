import { resolve } from "node:path";
import { bench } from "./bench.mjs";
import { chaos } from "./chaos.mjs";
import { BootstrapError } from "./failures.mjs";
import { fuzz } from "./fuzz.mjs";
import { ensureInstalled } from "./install.mjs";
import { ensureNode } from "./node-version.mjs";
import { pack } from "./pack.mjs";
import { createScreen } from "./screen.mjs";
import { start } from "./start.mjs";
import { runChecks, runComponentTests, runLongTests } from "./test.mjs";
import { ensureWorkspace } from "./workspace.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const TESTS = { test: runChecks, "test-long": runLongTests, "test-components": runComponentTests };
const COMMANDS = { start, bench, ...TESTS, pack, chaos, fuzz };

/**
 * Prepares the checkout and runs one command of it.
 * @param {string[]} argv the command's name, then its arguments
 * @returns {Promise<number>} the exit code
 */
export async function main(argv) {
  const [name = "", ...args] = argv;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    console.error(`usage: node infra/bootstrap/run.mjs ${Object.keys(COMMANDS).join("|")} [arguments]`);
    return 2;
  }
  const screen = createScreen();
  try {
    await ensureWorkspace(ROOT);
    const node = await ensureNode({ root: ROOT, screen });
    await ensureInstalled({ root: ROOT, node, screen });
    return await command({ root: ROOT, node, screen, args });
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error;
    screen.fail(error.message);
    return 1;
  }
}
