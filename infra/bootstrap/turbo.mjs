import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runQuietly } from "./child.mjs";
import { BootstrapError, tailOf } from "./failures.mjs";

const SHOWN_LINES = 60;

/**
 * Runs a program and shows its output only if it fails.
 * @throws BootstrapError with the output's last lines and where the rest is
 */
export async function runOrExplain({ root, node, name, file, args }) {
  const env = { ...node.env, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", FORCE_COLOR: "0" };
  const { code, output } = await runQuietly(file, args, { cwd: root, env });
  if (code === 0) return;
  const log = join(root, ".cache", `${name}.log`);
  await writeFile(log, output);
  throw new BootstrapError(
    `${name} failed:\n\n${tailOf(output, { lines: SHOWN_LINES })}\n\n  The whole log: ${log}`,
  );
}

/** Runs one task in every package that has it. Unchanged packages are skipped. */
export function runTurbo({ root, node, task }) {
  const args = ["run", task, "--concurrency=2", "--output-logs=errors-only", "--log-order=grouped"];
  return runOrExplain({ root, node, name: task, file: join(root, "node_modules", ".bin", "turbo"), args });
}

/** Builds the packages that need it: the dashboard. */
export function build({ root, node }) {
  return runTurbo({ root, node, task: "build" });
}
