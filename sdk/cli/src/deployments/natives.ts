import { join } from "node:path";
import type { Metafile, Plugin } from "esbuild";
import { z } from "zod";
import { readIfThere } from "../kernel/state-folder.ts";

/** Packages that find an addon at run time, invisible to a bundler. */
const LOADERS = ["bindings", "node-gyp-build", "node-pre-gyp", "@mapbox/node-pre-gyp", "prebuild-install"];

const ABSENT = `throw Object.assign(new Error("This module is native code, which deployed flows do not carry."), { code: "MODULE_NOT_FOUND" });`;

/**
 * A bundle contains no native code. An import of it fails, so that packages can fall back. The deploy prints a
 * warning.
 */
export const leaveNatives: Plugin = {
  name: "leave-natives",
  setup(hooks) {
    hooks.onResolve({ filter: /\.node$/ }, async ({ path, kind, resolveDir, pluginData }) => {
      if (pluginData === "asked") return null;
      const found = await hooks.resolve(path, { kind, resolveDir, pluginData: "asked" });
      return found.errors.length > 0 ? { path, external: true } : { path: found.path };
    });
    hooks.onLoad({ filter: /\.node$/ }, () => ({ contents: ABSENT, loader: "js" }));
  },
};

const Manifest = z.looseObject({
  name: z.string(),
  gypfile: z.boolean().optional(),
  dependencies: z.record(z.string(), z.string()).optional(),
});

/** The folder of the package of an input. Null for the project's own files. */
function packageFolder(input: string): string | null {
  return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? null;
}

async function nameIfLoading(root: string, folder: string): Promise<string | null> {
  const text = await readIfThere(join(root, folder, "package.json"));
  const manifest = Manifest.safeParse(text === null ? null : JSON.parse(text));
  if (!manifest.success) return null;
  const { name, gypfile, dependencies = {} } = manifest.data;
  return gypfile === true || LOADERS.some((loader) => Object.hasOwn(dependencies, loader)) ? name : null;
}

/** What a bundle lacks: imported addons, and packages that load one at run time. */
export async function nativesOf(root: string, { inputs }: Metafile): Promise<string[]> {
  const paths = Object.keys(inputs);
  const external = Object.values(inputs).flatMap((input) =>
    input.imports.filter((one) => one.external).map((one) => one.path),
  );
  const addons = [...paths, ...external].filter((path) => path.endsWith(".node"));
  const folders = [...new Set(paths.flatMap((path) => packageFolder(path) ?? []))];
  const loading = await Promise.all(folders.map((folder) => nameIfLoading(root, folder)));
  const names = addons.map((path) => path.replace(/^.*node_modules\/((?:@[^/]+\/)?[^/]+)\/.*$/, "$1"));
  return [...new Set([...names, ...loading.filter((name) => name !== null)])].sort();
}
