import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { PackageFault } from "./fault.ts";

const run = promisify(execFile);

/** The modules whose types are published, with everything that they import: the SDK's entries, the contract and the client. */
const ENTRIES: readonly (readonly string[])[] = [
  ["index", "client", "config", "deploy", "testing"].map((name) => `sdk/flow/src/${name}.ts`),
  // Compiled separately: the compiler emits nothing for modules that it reaches through node_modules.
  ["index", "words"].map((name) => `sdk/contract/src/${name}.ts`),
  ["index", "stored/reader"].map((name) => `sdk/client/src/${name}.ts`),
];

/** Packages that exist only in the workspace, and where their declarations are in the package. */
const INTERNAL: Readonly<Record<string, string>> = {
  "@towpath/client": "client/src/index.js",
  "@towpath/client/stored": "client/src/stored/reader.js",
  "@towpath/contract": "contract/src/index.js",
  "@towpath/contract/words": "contract/src/words.js",
};

/**
 * Rewrites a declaration's imports to modules that exist in the package.
 * @param path The declaration's path, below the folder of all declarations.
 * @throws PackageFault if it imports a package of the workspace that is not published.
 */
export function publishedImports(text: string, path: string): string {
  return text.replace(/((?:from|import)\s*\(?\s*")([^"]+)(")/g, (whole, before, name: string, after) => {
    if (name.startsWith(".")) return `${before}${name.replace(/\.ts$/, ".js")}${after}`;
    if (!name.startsWith("@towpath/")) return whole;
    const target = INTERNAL[name];
    if (target === undefined) throw new PackageFault(`${path} needs the types of ${name}.`);
    const found = relative(dirname(path), target);
    return `${before}${found.startsWith(".") ? found : `./${found}`}${after}`;
  });
}

async function compile(root: string, args: { entries: readonly string[]; outDir: string }): Promise<void> {
  const scratch = await mkdtemp(join(root, ".cache", "types-"));
  const config = join(scratch, "tsconfig.json");
  const compilerOptions = {
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    outDir: args.outDir,
  };
  const rootDir = join(root, "sdk");
  await writeFile(
    config,
    JSON.stringify({
      extends: join(root, "tsconfig.base.json"),
      compilerOptions: { ...compilerOptions, rootDir },
      files: args.entries.map((entry) => join(root, entry)),
    }),
  );
  try {
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    await run(process.execPath, [tsc, "-p", config], { cwd: root });
  } catch (cause) {
    const said = cause instanceof Error && "stdout" in cause ? String(cause.stdout) : "";
    throw new PackageFault(`The SDK's types cannot be emitted:\n${said}`, { cause });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Writes the declarations of the SDK's entries, and of everything that they import, into a folder. */
export async function writeDeclarations(args: { root: string; types: string }): Promise<void> {
  await Promise.all(ENTRIES.map((entries) => compile(args.root, { entries, outDir: args.types })));
  for (const entry of await readdir(args.types, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    await writeFile(path, publishedImports(await readFile(path, "utf8"), relative(args.types, path)));
  }
}
