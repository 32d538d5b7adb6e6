import { type ModuleGraph, readModules, type SourceModule } from "./module-graph.ts";
import { type Binding, type Outline, outlineOf, type Statement } from "./statements.ts";

const EMPTY: Outline = {
  statements: [],
  imported: new Map(),
  exported: new Map(),
  exportsAllOf: [],
  runs: [],
};

/** A statement that declares something, and where it stands. */
export interface Declaration {
  readonly module: SourceModule;
  readonly statement: Statement;
}

/** The outlines of a graph's modules, each read once. */
export class Outlines {
  readonly #graph: ModuleGraph;
  readonly #known = new Map<string, Outline>();

  constructor(graph: ModuleGraph) {
    this.#graph = graph;
  }

  get modules(): readonly SourceModule[] {
    return [...this.#graph.values()];
  }

  module(path: string): SourceModule | undefined {
    return this.#graph.get(path);
  }

  of(module: SourceModule): Outline {
    const known = this.#known.get(module.path);
    if (known !== undefined) return known;
    const made = module.code === null ? EMPTY : outlineOf(module.code);
    this.#known.set(module.path, made);
    return made;
  }

  /** What declares what a module knows by a name, wherever that is; null for what is in no module of ours. */
  declaration(module: SourceModule, { name, member }: Binding): Declaration | null {
    const { imported, statements } = this.of(module);
    const source = imported.get(name);
    if (source === undefined) {
      const statement = statements.find((one) => one.declares.includes(name));
      return statement === undefined ? null : { module, statement };
    }
    const target = this.module(module.imports.get(source.from) ?? source.from);
    const wanted = source.name === "*" ? member : source.name;
    return target === undefined || wanted === null ? null : this.#exported(target, wanted);
  }

  #exported(module: SourceModule, name: string): Declaration | null {
    const { exported, exportsAllOf } = this.of(module);
    const what = exported.get(name);
    if (typeof what === "string") return this.declaration(module, { name: what, member: null });
    const froms = what === undefined ? exportsAllOf : [what.from];
    const wanted = what?.name ?? name;
    for (const from of froms) {
      const target = this.module(module.imports.get(from) ?? from);
      const found = target === undefined ? null : this.#exported(target, wanted);
      if (found !== null) return found;
    }
    return null;
  }
}

/** Reads what a module reaches. @param module Relative to the project, with `/`. */
export async function readOutlines(root: string, module: string): Promise<Outlines> {
  return new Outlines(await readModules(root, [module]));
}
