import { createHash } from "node:crypto";
import type { Entry } from "@towpath/contract";
import { VERSION } from "../version.ts";
import type { CodeFile } from "./code-tree.ts";
import { isPackage, type SourceModule } from "./tasks/module-graph.ts";

/** The code of a project by what may load it. */
export interface Sources {
  /** All files of the code except the bundled modules, with the stage's data. */
  readonly files: readonly CodeFile[];
  /** The modules that each flow's source module loads. Null: they could not be analysed. */
  readonly modules: ReadonlyMap<string, readonly SourceModule[] | null>;
  /** The project's files that each module of a Python flow imports. Null: it may use any. */
  readonly python: ReadonlyMap<string, readonly string[] | null>;
  /** The file that describes the project. Its effects are in the specs. */
  readonly configFile: string;
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function fileLine({ path, bytes, executable }: CodeFile): string {
  return `file ${path} ${executable} ${sha256(bytes)}`;
}

function moduleLines({ path, bytes, imports }: SourceModule): string[] {
  const packages = [...imports.values()].filter(isPackage);
  return [`module ${path} ${sha256(bytes)}`, ...packages];
}

/** Code that may load or read a module which no import names: a computed path, a thread, another program, or a path beside it. */
const LOADS_BY_PATH =
  /\bimport\s*\((?!\s*["'][^"']*["']\s*\))|\brequire\s*\((?!\s*["'][^"']*["']\s*\))|\bnew\s+Worker\b|\bcreateRequire\b|\bimport\.meta\.|\b__(?:dir|file)name\b|\bchild_process\b/;

function loadsByPath({ code, bytes }: SourceModule): boolean {
  return LOADS_BY_PATH.test(code ?? Buffer.from(bytes).toString("utf8"));
}

/** A flow loads its own modules. It may read every file that is no module of a flow, or every file if it loads by path. */
function flowLines(module: string, { files, modules, python, configFile }: Sources): string[] | null {
  const own = modules.get(module) ?? null;
  const all = [...modules.values()];
  if (own === null || all.includes(null)) return null;
  const isAny = own.some(loadsByPath);
  const inPython = [...python.values()].flatMap((one) => one ?? []);
  const loaded = new Set([...all.flatMap((one) => (one ?? []).map(({ path }) => path)), ...inPython]);
  const read = files.filter(({ path }) => path !== configFile && (isAny || !loaded.has(path)));
  return [...own.flatMap(moduleLines), ...read.map(fileLine)];
}

/** A Python flow uses the files that it imports, and every file that is no Python module and no module of another flow. */
function pythonLines(module: string, sources: Sources): string[] {
  const { files, modules, python, configFile } = sources;
  const own = python.get(module) ?? null;
  const others = new Set([...modules.values()].flatMap((one) => (one ?? []).map(({ path }) => path)));
  const isUsed = (path: string) =>
    own === null || own.includes(path) || (!path.endsWith(".py") && !others.has(path));
  return files.filter(({ path }) => path !== configFile && isUsed(path)).map(fileLine);
}

function linesOf(entry: Entry, sources: Sources): string[] | null {
  if (entry.kind === "flow") return flowLines(entry.module, sources);
  if (entry.kind === "python") return pythonLines(entry.module, sources);
  return sources.files.filter(({ path }) => path !== sources.configFile).map(fileLine);
}

/**
 * A hash of all code that runs of a deployment may use. A command may use every file. Packages count by their versions, and
 * Towpath itself by its own. Null: it is not known.
 */
export function reachOf(entry: Entry, sources: Sources): string | null {
  const lines = linesOf(entry, sources);
  return lines && sha256([`towpath ${VERSION}`, ...new Set(lines)].sort().join("\n"));
}
