/**
 * Checks who imports whom against `.dependency-cruiser.mjs`.
 * Usage: node test/house/arrows.mjs [--json] [FOLDER]
 */
import { existsSync, globSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const ROOT = resolve(import.meta.dirname, "../..");
const ROOM_FOLDERS = ["sdk", "services", "worker", "test", "infra"];
const SOURCES = "**/*.{ts,tsx,mjs}";
const require = createRequire(import.meta.url);

/**
 * dependency-cruiser reads TypeScript with whatever `typescript` it finds beside itself. The workspace's is 7, which
 * has no API to read with, and the tool then passes having read nothing: it is given this package's 6 instead.
 */
function useReadableTypescript() {
  const { version } = require("typescript/package.json");
  if (!version.startsWith("6.")) throw new Error(`test/house needs typescript 6, but resolves ${version}`);
  registerHooks({
    resolve(specifier, context, next) {
      const fromTheTool = context.parentURL?.includes("/node_modules/dependency-cruiser/");
      if (!fromTheTool || !/^typescript(\/|$)/.test(specifier)) return next(specifier, context);
      return { url: pathToFileURL(require.resolve(specifier)).href, shortCircuit: true };
    },
  });
}

/**
 * Reads every module under a root and judges its imports.
 * @returns {Promise<{ violations: { rule: string, from: string, to: string, comment: string }[], modules: number, arrows: number, unread: string[] }>}
 */
async function checkArrows(root) {
  useReadableTypescript();
  const { cruise } = await import("dependency-cruiser");
  const { default: configuration } = await import("../../.dependency-cruiser.mjs");
  const folders = ROOM_FOLDERS.filter((folder) => existsSync(join(root, folder)));
  const ruleSet = { forbidden: configuration.forbidden };
  const { output } = await cruise(
    folders,
    { ...configuration.options, ruleSet, validate: true, baseDir: root },
    configuration.options.enhancedResolveOptions,
  );
  const exclude = (path) => /(^|\/)(node_modules|dist|\.[a-z]+)(\/|$)/.test(path);
  const read = new Set(output.modules.map((module) => module.source).filter((path) => !exclude(path)));
  const present = folders.flatMap((folder) => globSync(`${folder}/${SOURCES}`, { cwd: root, exclude }));
  const comments = new Map(ruleSet.forbidden.map((rule) => [rule.name, rule.comment]));
  return {
    violations: output.summary.violations.map(({ rule, from, to }) => ({
      ...{ rule: rule.name, from, to, comment: comments.get(rule.name) ?? "" },
    })),
    modules: read.size,
    arrows: output.summary.totalDependenciesCruised ?? 0,
    unread: present.filter((path) => !exclude(path) && !read.has(path)),
  };
}

function report({ violations, modules, arrows, unread }) {
  for (const { rule, from, to, comment } of violations) {
    console.error(`${from} → ${to}\n    ${rule}: ${comment}`);
  }
  for (const path of unread) console.error(`${path} was not read`);
  if (violations.length > 0) return `${violations.length} imports go against the arrows`;
  if (modules === 0) return "no module was read, so nothing was checked";
  if (unread.length > 0) return `${unread.length} files were not read`;
  console.log(`${modules} modules, ${arrows} imports: all along the arrows`);
  return undefined;
}

const args = process.argv.slice(2);
const root = resolve(args.find((argument) => !argument.startsWith("--")) ?? ROOT);
const result = await checkArrows(root);
if (args.includes("--json")) {
  console.log(JSON.stringify(result));
} else {
  const fault = report(result);
  if (fault !== undefined) {
    console.error(`arrows: ${fault}`);
    process.exitCode = 1;
  }
}
