import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { runInForeground, runQuietly } from "./child.mjs";
import { BootstrapError } from "./failures.mjs";
import { build, runOrExplain, runTurbo } from "./turbo.mjs";

/** The checks that run before the tests, in this order. The first failure ends the run. */
export const CHECKS = [
  { title: "Format", name: "format", bin: "biome", args: ["check", "--linter-enabled=false", "."] },
  { title: "Lint", name: "lint", bin: "biome", args: ["lint", "--error-on-warnings", "."] },
  { title: "Types", task: "typecheck" },
  { title: "Arrows", name: "arrows", script: "test/house/arrows.mjs", args: [] },
  { title: "Build", task: "build" },
];

/**
 * Runs every check and all tests except the long suites. With arguments, runs only the named tests, long or not.
 * @returns {Promise<number>} 0 if everything passes
 */
export async function runChecks({ root, node, screen, args }) {
  await ensureGit({ root, node });
  await installS3Server({ root, node, screen });
  if (args.length > 0) {
    await build({ root, node });
    return await runTests({ root, node, args });
  }
  for (const check of CHECKS) await screen.step(check.title, () => runCheck({ root, node, check }));
  screen.line("  … Tests");
  return await runTests({ root, node, args: ["--project", "tests", "--project", "alone"] });
}

/**
 * Runs the long suites: whole installations, and the dashboard in a browser.
 * @returns {Promise<number>} 0 if everything passes
 */
export async function runLongTests({ root, node, args }) {
  await ensureGit({ root, node });
  await build({ root, node });
  return await runTests({ root, node, args: ["--project", "long", ...args] });
}

function runTests({ root, node, args }) {
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

/** The S3 server for tests of stores in buckets, a Go module. */
export const S3_SERVER = { name: "versitygw", from: "github.com/versity/versitygw/cmd/versitygw@v1.8.0" };

/** Installs that server once, which takes Go a minute or two. Without Go, its tests are skipped with a message. */
async function installS3Server({ root, node, screen }) {
  const folder = join(root, "node_modules", ".cache", "towpath-tests");
  if (existsSync(join(folder, S3_SERVER.name))) return;
  const go = await runQuietly("go", ["version"], { cwd: root, env: node.env });
  if (go.code !== 0) return;
  await screen.step(`Install ${S3_SERVER.name} for the tests, once`, async () => {
    mkdirSync(folder, { recursive: true });
    const env = { ...node.env, GOBIN: folder, GOFLAGS: "-mod=mod" };
    const { code, output } = await runQuietly("go", ["install", S3_SERVER.from], { cwd: folder, env });
    if (code !== 0)
      screen.line(`  ! ${S3_SERVER.name} cannot be installed: ${output.trim().split("\n").at(-1)}`);
  });
}

/** The house rules list files with git, and the tests of code in git clone with it. */
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
