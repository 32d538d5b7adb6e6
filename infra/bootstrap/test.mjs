import { join } from "node:path";
import { runInForeground, runQuietly } from "./child.mjs";
import { BootstrapError } from "./failures.mjs";
import { build, runOrExplain, runTurbo } from "./turbo.mjs";

/** What is checked before the tests, in this order; the first that fails ends it. */
export const CHECKS = [
  { title: "Format", name: "format", bin: "biome", args: ["check", "--linter-enabled=false", "."] },
  { title: "Lint", name: "lint", bin: "biome", args: ["lint", "--error-on-warnings", "."] },
  { title: "Types", task: "typecheck" },
  { title: "Arrows", name: "arrows", script: "test/house/arrows.mjs", args: [] },
  { title: "Build", task: "build" },
];

/**
 * Runs every check and the tests; with arguments, only the tests they name.
 * @returns {Promise<number>} 0 when all is well
 */
export async function runChecks({ root, node, screen, args }) {
  await ensureGit({ root, node });
  if (args.length === 0) {
    for (const check of CHECKS) await screen.step(check.title, () => runCheck({ root, node, check }));
    screen.line("  … Tests");
  } else {
    await build({ root, node });
  }
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  return runInForeground(node.path, [vitest, "run", ...args], { cwd: root, env: node.env });
}

function runCheck({ root, node, check }) {
  if (check.task !== undefined) return runTurbo({ root, node, task: check.task });
  const { name, args } = check;
  if (check.script === undefined) {
    return runOrExplain({ root, node, name, file: join(root, "node_modules", ".bin", check.bin), args });
  }
  return runOrExplain({ root, node, name, file: node.path, args: [check.script, ...args] });
}

/** The house rules read the list of files from git, and the code registry's tests clone with it. */
async function ensureGit({ root, node }) {
  const { code } = await runQuietly("git", ["rev-parse", "--is-inside-work-tree"], {
    cwd: root,
    env: node.env,
  });
  if (code === 0) return;
  throw new BootstrapError(
    code === 127
      ? "The tests need git. Install it (Debian: `apt-get install git`), then run the same command again."
      : `The tests need a git checkout, and ${root} is none. Clone the repository, then run the same command there.`,
  );
}
