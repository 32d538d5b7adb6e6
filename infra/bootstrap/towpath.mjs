/** Runs this repository's `towpath` command if the machine's Node cannot run TypeScript. */
import { join, resolve } from "node:path";
import { runInForeground } from "./child.mjs";
import { findNode } from "./node-version.mjs";

/** EX_CONFIG in sysexits.h: the command is not set up. */
const EXIT_CONFIGURATION = 78;

const root = resolve(import.meta.dirname, "../..");
const node = await findNode({ root });

if (node === null) {
  console.error(
    `✗ towpath needs Node 22.18 or newer, and this is ${process.versions.node}.\n` +
      `→ \`npm start -- --once\` in ${root} fetches one that this command then uses; or install a current Node yourself`,
  );
  process.exitCode = EXIT_CONFIGURATION;
} else {
  const args = [join(root, "sdk", "cli", "src", "main.ts"), ...process.argv.slice(2)];
  process.exitCode = await runInForeground(node.path, args, { env: node.env });
}
