import { join, relative, resolve, sep } from "node:path";
import { build, type OutputFile, type Plugin, transform } from "esbuild";
import { Failure } from "../failure.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import { ARROW_BANNER, arrowInBundles } from "./arrow-in-bundles.ts";
import type { CodeFile } from "./code-tree.ts";
import { leaveNatives, nativesOf } from "./natives.ts";
import { isOwnPackage } from "./own-packages.ts";
import { namespaceOfZod } from "./zod-import.ts";

/**
 * CommonJS packages call `require`, which an ES module does not have. The unusual name avoids a conflict with the
 * flow's own `require`.
 */
const BANNER = [
  'import { createRequire as __towpathCreateRequire } from "node:module";',
  "globalThis.require ??= __towpathCreateRequire(import.meta.url);",
  ARROW_BANNER,
].join("\n");

/** Bundled flow modules. */
export interface Bundle {
  readonly files: readonly CodeFile[];
  /** The bundled path of each source module (relative to the project, with `/`). */
  readonly modules: ReadonlyMap<string, string>;
  /** Native addons that the flows import, and packages that load one. A bundle cannot contain them. */
  readonly natives: readonly string[];
}

/** If the project has no SDK or zod, the CLI's own are used; see `lendOwnPackages`. */
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

/** Whether Node treats a project's `.js` files as ES modules. Without a manifest Node decides. */
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
 * Bundles flow modules with all their imports, including the SDK, as ES modules with the paths of their sources. Shared
 * code goes to `chunks/`. The same sources give the same bytes in any folder.
 * @param modules Relative to the project, with `/`.
 * @param installed The packages that workers install, which are left out. @default none
 * @throws Failure that names file and line.
 */
export async function bundleModules(
  root: string,
  modules: readonly string[],
  installed: readonly string[] = [],
): Promise<Bundle> {
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
    external: [...installed],
    splitting: true,
    // If the project's manifest says CommonJS, the file extension marks these files as ES modules.
    outExtension: (await areModulesByDefault(root)) ? {} : { ".js": ".mjs" },
    sourcemap: "linked",
    // Source maps without contents: the project's own files lie next to the bundle.
    sourcesContent: false,
    entryNames: "[dir]/[name]",
    chunkNames: "chunks/[name]-[hash]",
    assetNames: "chunks/[name]-[hash]",
    banner: { js: BANNER },
    keepNames: true,
    logLevel: "silent",
    plugins: [leaveNatives, lendPackages, arrowInBundles, namespaceOfZod],
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

/** Starts the bundler's process ahead, so that the first bundle does not wait for it. */
export async function warmBundler(): Promise<void> {
  await transform("");
}
