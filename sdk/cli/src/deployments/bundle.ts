import { join, relative, resolve, sep } from "node:path";
import { build, type OutputFile, type Plugin, transform } from "esbuild";
import { Failure } from "../failure.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import type { CodeFile } from "./code-tree.ts";
import { leaveNatives, nativesOf } from "./natives.ts";
import { isOwnPackage } from "./own-packages.ts";
import { namespaceOfZod } from "./zod-import.ts";

/**
 * Packages written for CommonJS call `require`, which an ES module does not have. The odd name keeps clear of the
 * flow's own `require`, which authors declare in the same way.
 */
const BANNER = [
  'import { createRequire as __towpathCreateRequire } from "node:module";',
  "globalThis.require ??= __towpathCreateRequire(import.meta.url);",
].join("\n");

/** Bundled flow modules. */
export interface Bundle {
  readonly files: readonly CodeFile[];
  /** Where each source module (relative to the project, with `/`) went. */
  readonly modules: ReadonlyMap<string, string>;
  /** Native addons that the flows import, and packages that load one by themselves: a bundle cannot carry them. */
  readonly natives: readonly string[];
}

/** The SDK and zod come from the CLI's own installation where the project has none; see `lendOwnPackages`. */
const lendPackages: Plugin = {
  name: "lend-packages",
  setup(hooks) {
    hooks.onResolve({ filter: /^[a-z]/ }, async ({ path, kind, resolveDir, pluginData }) => {
      if (!isOwnPackage(path) || pluginData === "lent") return null;
      const own = await hooks.resolve(path, { kind, resolveDir, pluginData: "lent" });
      if (own.errors.length === 0) return own;
      return hooks.resolve(path, { kind, resolveDir: import.meta.dirname, pluginData: "lent" });
    });
  },
};

function describe(failure: unknown): readonly string[] {
  if (!(failure instanceof Error) || !("errors" in failure) || !Array.isArray(failure.errors)) return [];
  return failure.errors
    .slice(0, 5)
    .map((error: { text: string; location?: { file: string; line: number } }) => {
      const where = error.location ? `${error.location.file}:${error.location.line}: ` : "";
      return `${where}${error.text}`;
    });
}

/** Whether Node takes a `.js` file of a project for an ES module. A project without a manifest is left to Node. */
async function areModulesByDefault(root: string): Promise<boolean> {
  const text = await readIfThere(join(root, "package.json"));
  if (text === null) return true;
  const manifest: unknown = JSON.parse(text);
  return (
    typeof manifest === "object" && manifest !== null && "type" in manifest && manifest.type === "module"
  );
}

function asCode(output: OutputFile, root: string): CodeFile {
  const path = relative(root, output.path).split(sep).join("/");
  return { path, bytes: output.contents, executable: false };
}

/**
 * Bundles flow modules with all they import, the SDK included, as ES modules whose paths follow the sources'. Shared
 * code goes to `chunks/`. The same sources give the same bytes wherever the project lies.
 * @param modules Relative to the project, with `/`.
 * @throws Failure naming file and line.
 */
export async function bundleModules(root: string, modules: readonly string[]): Promise<Bundle> {
  if (modules.length === 0) return { files: [], modules: new Map(), natives: [] };
  const outcome = await build({
    absWorkingDir: root,
    entryPoints: [...new Set(modules)].sort(),
    outbase: root,
    outdir: root,
    bundle: true,
    write: false,
    metafile: true,
    allowOverwrite: true,
    format: "esm",
    platform: "node",
    target: "node22.18",
    splitting: true,
    // Where the project's other files are CommonJS by their manifest, the ending says what these are.
    outExtension: (await areModulesByDefault(root)) ? {} : { ".js": ".mjs" },
    sourcemap: "linked",
    // Maps say file and line; what stands there is in the project's own files, beside the bundle.
    sourcesContent: false,
    entryNames: "[dir]/[name]",
    chunkNames: "chunks/[name]-[hash]",
    assetNames: "chunks/[name]-[hash]",
    banner: { js: BANNER },
    keepNames: true,
    logLevel: "silent",
    plugins: [leaveNatives, lendPackages, namespaceOfZod],
  }).catch((cause: unknown) => {
    const [first = "esbuild failed.", ...rest] = describe(cause);
    throw new Failure(`The flows cannot be bundled: ${first}`, {
      exit: "configuration",
      code: "bundle",
      next: rest,
      cause,
    });
  });
  const targets = Object.entries(outcome.metafile.outputs).flatMap(([path, output]) =>
    output.entryPoint === undefined ? [] : [[output.entryPoint, path] as const],
  );
  return {
    files: outcome.outputFiles.map((file) => asCode(file, resolve(root))),
    modules: new Map(targets),
    natives: await nativesOf(root, outcome.metafile),
  };
}

/** Starts the bundler's own process, which the first bundle would wait for. */
export async function warmBundler(): Promise<void> {
  await transform("");
}
