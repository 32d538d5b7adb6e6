import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { runInForeground, runQuietly } from "./child.mjs";
import { BootstrapError } from "./failures.mjs";
import { build, runOrExplain, runTurbo } from "./turbo.mjs";
import { UNSETTLED_FILES_VARIABLE } from "./unsettled-files.mjs";

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
    return await runTests({ root, node, screen, args });
  }
  for (const check of CHECKS) await screen.step(check.title, () => runCheck({ root, node, check }));
  screen.line("  … Tests");
  return await runTests({ root, node, screen, args: ["--project", "tests", "--project", "alone"] });
}

/**
 * Runs the long suites: whole installations, and the dashboard in a browser.
 * @returns {Promise<number>} 0 if everything passes
 */
export async function runLongTests({ root, node, screen, args }) {
  await ensureGit({ root, node });
  await installS3Server({ root, node, screen });
  await build({ root, node });
  return await runTests({ root, node, screen, args: ["--project", "long", ...args] });
}

/**
 * Runs the tests of other people's software: data libraries, clusters, notebooks. Each installs what it needs from the package registries.
 * @returns {Promise<number>} 0 if everything passes
 */
export async function runComponentTests({ root, node, screen, args }) {
  await build({ root, node });
  return await runTests({ root, node, screen, args: ["--project", "components", ...args] });
}

/** If more files than this fail, CI runs none of them again: the fault is not a matter of chance. */
const AGAIN_MAX = 12;

/**
 * Runs vitest. In CI, the few files that failed run once more, each in a process of its own. A file that then passes
 * does not fail the run, and the last lines of the output name it as unsteady: it has a fault to find and mend.
 */
export async function runTests({ root, node, screen, args }) {
  if (!process.env.CI) return await runVitest({ root, node, args });
  const folder = mkdtempSync(join(tmpdir(), "towpath-tests-"));
  const path = join(folder, "unsettled.json");
  try {
    const reporter = join(root, "infra", "bootstrap", "unsettled-files.mjs");
    const env = { ...node.env, [UNSETTLED_FILES_VARIABLE]: path };
    const reporters = ["--reporter=default", `--reporter=${reporter}`];
    const code = await runVitest({ root, node: { ...node, env }, args: [...args, ...reporters] });
    const { files, otherErrors } =
      code === 0 || !existsSync(path) ? NOTHING : JSON.parse(readFileSync(path, "utf8"));
    if (files.length === 0 || files.length > AGAIN_MAX || otherErrors > files.length) return code;
    const names = files.map((file) => relative(root, file));
    screen.line(`  ! Failed once, so CI runs them again: ${names.join(", ")}`);
    const again = await runVitest({ root, node, args: [...args, "--isolate", "--maxWorkers=1", ...names] });
    if (again === 0) screen.line(`  ! Unsteady, to be mended: ${names.join(", ")}`);
    return again;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const NOTHING = { files: [], otherErrors: 0 };

function runVitest({ root, node, args }) {
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
