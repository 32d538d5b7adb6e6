import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runQuietly } from "./child.mjs";
import { BootstrapError, explainNpmFailure, tailOf } from "./failures.mjs";

const SHOWN_LINES = 12;

/** Quiet, and with short retries if the network does not answer. */
const FLAGS = [
  ...["--no-audit", "--no-fund", "--no-progress", "--no-update-notifier", "--loglevel=warn"],
  ...["--fetch-retries=3", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"],
];

/**
 * Runs npm. Its output goes to a log that is shown only after a failure.
 * @throws BootstrapError with a sentence, the log's last lines and the log's path
 */
export async function runNpm({ root, logName, args, cwd = root, env = process.env }) {
  const { code, output } = await runQuietly("npm", [...args, ...FLAGS], { cwd, env });
  const log = join(root, ".cache", logName);
  await writeFile(log, output);
  if (code === 0) return;
  if (code === 127) {
    throw new BootstrapError(
      "npm was not found on PATH. It comes with Node.js (Debian: `apt-get install npm`); " +
        "install it, then run the same command again.",
    );
  }
  throw new BootstrapError(
    `${explainNpmFailure(output)}\n\n${tailOf(output, { lines: SHOWN_LINES })}\n\n  The whole log: ${log}`,
  );
}
