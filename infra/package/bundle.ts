import { isBuiltin } from "node:module";
import { join, relative } from "node:path";
import { type BuildOptions, build, type Metafile, type Plugin } from "esbuild";
import { PackageFault } from "./fault.ts";
import type { Manifest } from "./manifest.ts";

/** Bundled CommonJS packages call `require`, which an ES module does not have. */
const REQUIRE = {
  js: 'import { createRequire as __towpathRequire } from "node:module";\nconst require = __towpathRequire(import.meta.url);',
} as const;

/** One bundle: its entries, and the folder of the package that holds the output. */
interface Part {
  readonly folder: string;
  readonly entries: Readonly<Record<string, string>>;
  readonly options: BuildOptions;
}

/** The program of a checking thread. It stands beside every program that starts such threads. */
const CHECK_THREAD = { "check-thread": "sdk/contract/src/deployments/bounded/thread.ts" };

const PARTS: readonly Part[] = [
  {
    folder: "sdk",
    entries: {
      index: "sdk/flow/src/index.ts",
      client: "sdk/flow/src/client.ts",
      config: "sdk/flow/src/config.ts",
      deploy: "sdk/flow/src/deploy.ts",
      test: "sdk/flow/src/testing.ts",
    },
    // The entries share one engine: the current run is state of a module.
    options: { splitting: true, chunkNames: "shared-[hash]", external: ["zod"] },
  },
  {
    folder: "cli",
    entries: { main: "sdk/cli/src/main.ts", ...CHECK_THREAD },
    options: { external: ["esbuild"], banner: REQUIRE, keepNames: true },
  },
  {
    folder: "worker",
    entries: { main: "worker/src/main.ts", ...CHECK_THREAD },
    options: { banner: REQUIRE, keepNames: true },
  },
  // Bundled separately to stay small: it is loaded between a claim and the first line of a flow.
  { folder: "worker", entries: { runner: "worker/src/launch/runner.ts" }, options: {} },
  {
    folder: "control",
    entries: {
      main: "services/control/src/main.ts",
      demo: "services/control/src/demo/main.ts",
      ...CHECK_THREAD,
    },
    options: { banner: REQUIRE, keepNames: true },
  },
];

/** Modules that look for files next to themselves, and the paths of those files in the package. */
function replacements(version: string): Readonly<Record<string, string>> {
  const ownVersion = `export const VERSION = ${JSON.stringify(version)};`;
  return {
    "sdk/cli/src/version.ts": ownVersion,
    "worker/src/version.ts": ownVersion,
    "services/control/src/kernel/version.ts": ownVersion,
    "sdk/contract/src/deployments/bounded/places.ts":
      'export const CHECK_THREAD = new URL("./check-thread.js", import.meta.url);',
    "worker/src/launch/python-sdk.ts":
      'import { fileURLToPath } from "node:url";\nexport const PYTHON_SDK = fileURLToPath(new URL("./python", import.meta.url));',
    "sdk/cli/src/deployments/python/python-sdk.ts":
      'import { fileURLToPath } from "node:url";\nexport const PYTHON_SDK = fileURLToPath(new URL("../worker/python", import.meta.url));',
    "sdk/cli/src/view/places.ts":
      'export const DASHBOARD = new URL("../control/dashboard/", import.meta.url);',
    "services/control/src/kernel/folders.ts":
      'export const FOLDERS = { migrations: new URL("./migrations", import.meta.url), dashboard: new URL("./dashboard", import.meta.url) };',
  };
}

function replace(root: string, modules: Readonly<Record<string, string>>, done: Set<string>): Plugin {
  return {
    name: "replace-modules",
    setup(hooks) {
      hooks.onLoad({ filter: /\/(version|places|folders|python-sdk)\.ts$/ }, ({ path }) => {
        const contents = modules[relative(root, path)];
        if (contents === undefined) return null;
        done.add(relative(root, path));
        return { contents, loader: "js" };
      });
    },
  };
}

/** Packages that no bundle contains: npm installs them next to it. */
function externals(metafile: Metafile): string[] {
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return imports.flatMap(({ path, external }) => (external && !isBuiltin(path) ? [path] : []));
}

/**
 * Bundles the SDK and every program into plain JavaScript, since Node strips no types below node_modules.
 * @returns The bundled files of other packages, relative to the root.
 * @throws PackageFault if a bundle imports a package that the manifest does not name.
 */
export async function bundlePrograms(args: {
  root: string;
  dist: string;
  manifest: Manifest;
}): Promise<ReadonlySet<string>> {
  const { root, dist, manifest } = args;
  const modules = replacements(manifest.version);
  const replaced = new Set<string>();
  const inputs = new Set<string>();
  for (const { folder, entries, options } of PARTS) {
    const { metafile } = await build({
      absWorkingDir: root,
      entryPoints: { ...entries },
      outdir: join(dist, folder),
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node22.18",
      legalComments: "none",
      logLevel: "error",
      plugins: [replace(root, modules, replaced)],
      ...options,
      metafile: true,
    });
    for (const input of Object.keys(metafile.inputs)) inputs.add(input);
    const unknown = externals(metafile).find((name) => manifest.dependencies[name] === undefined);
    if (unknown !== undefined)
      throw new PackageFault(`${folder} imports "${unknown}", which is not declared.`);
  }
  const missed = Object.keys(modules).filter((path) => !replaced.has(path));
  if (missed.length > 0) throw new PackageFault(`no bundle holds ${missed.join(", ")}`);
  return inputs;
}
