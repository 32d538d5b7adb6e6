import { createHash } from "node:crypto";
import { isPackage, type SourceModule } from "./module-graph.ts";
import type { Outlines } from "./outlines.ts";
import type { Statement } from "./statements.ts";

const VERSION_CHARS = 16;
/** The most tasks whose versions one spec names; others share the version of all the code. */
const TASKS_MAX = 2_000;

/** Everything that some statement reaches: what other statements say, which names are which, packages by version. */
class Reach {
  readonly #outlines: Outlines;
  readonly #said = new Set<string>();
  readonly #seen = new Set<unknown>();
  readonly #asked = new Set<string>();

  constructor(outlines: Outlines) {
    this.#outlines = outlines;
  }

  get version(): string {
    return createHash("sha256")
      .update([...this.#said].sort().join("\n"))
      .digest("hex")
      .slice(0, VERSION_CHARS);
  }

  statement(module: SourceModule, statement: Statement): void {
    if (this.#seen.has(statement)) return;
    this.#seen.add(statement);
    this.#said.add(`${module.path}: ${statement.text}`);
    for (const name of statement.uses) this.#name(module, name);
    for (const specifier of statement.loads) this.#import(module, { from: specifier, name: "*" });
    this.#effects(module, statement);
  }

  /** Statements that only do something count when they do it with something that is reached. */
  #effects(module: SourceModule, { declares }: Statement): void {
    const { statements, runs } = this.#outlines.of(module);
    for (const other of statements)
      if (other.acts && declares.some((name) => other.uses.has(name))) this.statement(module, other);
    for (const from of runs) this.#import(module, { from, name: "*" });
  }

  #name(module: SourceModule, name: string): void {
    const key = `${module.path}#${name}`;
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    const outline = this.#outlines.of(module);
    const imported = outline.imported.get(name);
    if (imported !== undefined) {
      const target = module.imports.get(imported.from) ?? imported.from;
      this.#said.add(`${module.path}: ${name} is ${imported.name} of ${target}`);
      this.#import(module, imported);
    }
    for (const one of outline.statements) if (one.declares.includes(name)) this.statement(module, one);
  }

  #import(module: SourceModule, { from, name }: { from: string; name: string }): void {
    const target = module.imports.get(from) ?? from;
    const found = this.#outlines.module(target);
    if (found !== undefined) this.#exported(found, name);
    else if (isPackage(target)) this.#said.add(target);
  }

  #exported(module: SourceModule, name: string): void {
    const key = `${module.path}@${name}`;
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    const outline = this.#outlines.of(module);
    if (module.code === null) {
      this.#said.add(`${module.path}: ${createHash("sha256").update(module.bytes).digest("hex")}`);
      return;
    }
    if (name === "*") {
      for (const one of outline.statements) this.statement(module, one);
      for (const one of outline.exported.keys()) this.#exported(module, one);
    }
    const what = outline.exported.get(name);
    if (typeof what === "string") this.#name(module, what);
    else if (what !== undefined) this.#import(module, what);
    else for (const from of outline.exportsAllOf) this.#import(module, { from, name });
  }
}

function versionsIn(outlines: Outlines): Map<string, Set<string>> {
  const versions = new Map<string, Set<string>>();
  for (const module of outlines.modules)
    for (const statement of outlines.of(module).statements) {
      if (statement.tasks.length === 0) continue;
      const reach = new Reach(outlines);
      reach.statement(module, statement);
      for (const { name, version } of statement.tasks)
        versions.set(name, (versions.get(name) ?? new Set()).add(version ?? reach.version));
    }
  return versions;
}

/** Tasks with one name share a version: a change of one of them changes it. */
function together(versions: ReadonlySet<string>): string {
  const [first = "", ...others] = [...versions].sort();
  if (others.length === 0) return first;
  return createHash("sha256")
    .update([first, ...others].join("\n"))
    .digest("hex")
    .slice(0, VERSION_CHARS);
}

/**
 * The version of each task that a flow's module reaches, by the task's name: a hash of all that the task's function reaches.
 * That is its own text, the variables and functions it uses wherever they are declared, and packages by their versions.
 * Types, comments, formatting and the task's options do not count, nor does anything that it does not use. A task with a
 * `version` of its own has that one.
 *
 * A task whose name is not written in the code where it is made is not among them.
 */
export function taskVersions(outlines: Outlines): Record<string, string> {
  const found = [...versionsIn(outlines)].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, TASKS_MAX);
  return Object.fromEntries(found.map(([name, versions]) => [name, together(versions)]));
}
