import { relative, sep } from "node:path";
import type { Plugin } from "esbuild";

const NAMESPACE = "towpath-arrow";
const REAL = "real";

/** The list of the copies of apache-arrow that a bundle has loaded. See the SDK's `store/arrow.ts`. */
const COPIES = 'globalThis[Symbol.for("towpath.arrow")]';

/** Tells the SDK in the same file that it is part of a bundle, where it cannot look for the package. */
export const ARROW_BANNER = "const __towpathBundled = true;";

const CONTENTS = [
  'export * from "apache-arrow";',
  'import { Table, tableFromIPC, tableToIPC } from "apache-arrow";',
  `(${COPIES} ??= []).push({ Table, tableFromIPC, tableToIPC });`,
].join("\n");

/**
 * A flow that imports apache-arrow gives the SDK this copy, so that its tables can be stored. A bundle of other flows does
 * not contain the package.
 */
export const arrowInBundles: Plugin = {
  name: "arrow-in-bundles",
  setup(hooks) {
    const root = hooks.initialOptions.absWorkingDir ?? process.cwd();
    hooks.onResolve({ filter: /^apache-arrow$/ }, async ({ path, kind, resolveDir, pluginData }) => {
      if (pluginData === REAL || (kind !== "import-statement" && kind !== "dynamic-import")) return null;
      const real = await hooks.resolve(path, { kind, resolveDir, pluginData: REAL });
      if (real.errors.length > 0) return null;
      // Relative, because the bundle is the same in any folder.
      const place = relative(root, real.path).split(sep).join("/");
      return { path: place, namespace: NAMESPACE, pluginData: resolveDir };
    });
    hooks.onLoad({ filter: /./, namespace: NAMESPACE }, ({ pluginData: resolveDir }) => ({
      contents: CONTENTS,
      loader: "js",
      resolveDir,
      pluginData: REAL,
    }));
  },
};
