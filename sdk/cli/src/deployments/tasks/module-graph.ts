import { readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { build, type Loader, type Metafile, type Plugin, transform } from "esbuild";

/** A module of the project as JavaScript: without types, comments and formatting. */
export interface SourceModule {
  /** Relative to the project, with `/`. */
  readonly path: string;
  /** Null for what is no module of statements: data, or code for CommonJS. It counts as a whole. */
  readonly code: string | null;
  readonly bytes: Uint8Array;
  /** What each import specifier leads to: a module's path, or `package:NAME@VERSION`. */
  readonly imports: ReadonlyMap<string, string>;
}

/** All modules that some entries reach. */
export type ModuleGraph = ReadonlyMap<string, SourceModule>;

const PACKAGE = "package:";
const LOADERS: Readonly<Record<string, Loader>> = {
  ".ts": "ts",
  ".mts": "ts",
  ".tsx": "tsx",
  ".js": "js",
  ".mjs": "js",
  ".jsx": "jsx",
};

/** The package that a file of an installation belongs to, with its version, or null for a file of the project's own. */
async function packageOf(path: string): Promise<string | null> {
  const at = path.lastIndexOf("/node_modules/");
  if (at < 0) return null;
  for (
    let folder = dirname(path);
    folder.length > at + "/node_modules/".length - 1;
    folder = dirname(folder)
  ) {
    const text = await readFile(join(folder, "package.json"), "utf8").catch(() => null);
    const { name, version } = text === null ? {} : JSON.parse(text);
    if (typeof name === "string" && typeof version === "string") return `${PACKAGE}${name}@${version}`;
  }
  return null;
}

/** Specifiers of installed packages, each with what it leads to, by the absolute path of the module that imports it. */
type PackageImports = Map<string, Map<string, string>>;

/** Installed packages count by name and version. What is linked from beside the project is the project's own code. */
function packagesByVersion(found: PackageImports): Plugin {
  const note = (importer: string, specifier: string, target: string) => {
    found.set(importer, (found.get(importer) ?? new Map()).set(specifier, target));
  };
  return {
    name: "packages-by-version",
    setup(hooks) {
      hooks.onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, pluginData, importer }) => {
        if (pluginData === "asked" || importer === "") return null;
        if (path.startsWith("node:") || path === "towpath" || path.startsWith("towpath/"))
          return { path, external: true };
        const resolved = await hooks.resolve(path, { kind, resolveDir, importer, pluginData: "asked" });
        if (resolved.errors.length > 0 || resolved.external) return { path, external: true };
        const owner = await packageOf(resolved.path.replaceAll("\\", "/"));
        if (owner === null) return resolved;
        note(importer, path, owner);
        return { path, external: true };
      });
      hooks.onResolve({ filter: /\.node$/ }, ({ path }) => ({ path, external: true }));
    },
  };
}

function importsOf({ imports }: Metafile["inputs"][string], packages: Map<string, string> | undefined) {
  return new Map([
    ...imports.map(({ path, original }) => [original ?? path, path] as const),
    ...(packages ?? []),
  ]);
}

/** Code without what does not change what it does, or null for what is no module of statements. */
async function bare(path: string, text: string, format: "cjs" | "esm" | undefined): Promise<string | null> {
  const loader = LOADERS[extname(path)];
  if (loader === undefined || format === "cjs") return null;
  const options = {
    loader,
    format: "esm",
    target: "esnext",
    legalComments: "none",
    tsconfigRaw: "{}",
  } as const;
  return (await transform(text, options)).code;
}

/**
 * Reads the modules that some entries reach, as far as they are the project's own.
 * @param modules Relative to the project, with `/`.
 */
export async function readModules(root: string, modules: readonly string[]): Promise<ModuleGraph> {
  const packages: PackageImports = new Map();
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...new Set(modules)],
    outdir: root,
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    logLevel: "silent",
    loader: { ".json": "json" },
    plugins: [packagesByVersion(packages)],
  });
  const inputs = Object.entries(metafile.inputs).filter(([path]) => !path.includes(":"));
  const read = inputs.map(async ([path, input]): Promise<[string, SourceModule]> => {
    const place = resolve(root, path);
    const bytes = await readFile(place);
    const code = await bare(path, bytes.toString("utf8"), input.format);
    return [path, { path, code, bytes, imports: importsOf(input, packages.get(place)) }];
  });
  return new Map(await Promise.all(read));
}

/** Whether an import leads to an installed package. */
export function isPackage(target: string): boolean {
  return target.startsWith(PACKAGE);
}
