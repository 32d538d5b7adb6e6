import type { AnyNode, Identifier, Program } from "acorn";
import { analyze, type Reference } from "eslint-scope";

const ECMA_VERSION = 2026;

function isIn(node: AnyNode, at: { readonly start: number }): boolean {
  return node.start <= at.start && at.start < node.end;
}

/** An identifier as acorn made it: eslint-scope hands back the nodes that it was given, with positions. */
function asNode(identifier: object): Identifier {
  return identifier as Identifier;
}

/** The names of a module's top level: where they are declared and used. Names that a function declares for itself are not among them. */
export class ModuleNames {
  readonly #declared: readonly { readonly name: string; readonly start: number }[];
  readonly #used: readonly Identifier[];
  readonly #local = new Map<object, Reference>();

  /** @param program A module that acorn parsed with `ranges: true`. */
  constructor(program: Program) {
    const options = { ecmaVersion: ECMA_VERSION, sourceType: "module" } as const;
    const { scopes } = analyze(program as never, options);
    const [, own] = scopes;
    this.#declared = (own?.variables ?? []).flatMap(({ name, defs }) =>
      defs.map((definition) => ({ name, start: asNode(definition.name).start })),
    );
    const used: Identifier[] = [];
    for (const reference of scopes.flatMap(({ references }) => references)) {
      const { identifier, resolved } = reference;
      if (resolved === null || resolved.scope === own) used.push(asNode(identifier));
      else this.#local.set(identifier, reference);
    }
    this.#used = used.sort((a, b) => a.start - b.start);
  }

  /** Names of the top level that a node declares. */
  declaredIn(node: AnyNode): string[] {
    return this.#declared.filter((one) => isIn(node, one)).map(({ name }) => name);
  }

  /** Names of the top level, and global ones, that some nodes use. */
  usedIn(nodes: readonly AnyNode[]): Set<string> {
    const used = this.#used.filter((one) => nodes.some((node) => isIn(node, one)));
    return new Set(used.map(({ name }) => name));
  }

  /** Whether an identifier stands for a name that a function or a block declares for itself. */
  isLocal(identifier: Identifier): boolean {
    return this.#local.has(identifier);
  }

  /** What a local name was declared as; null for a parameter. */
  localValue(identifier: Identifier): AnyNode | null {
    const declared = this.#local.get(identifier)?.resolved?.defs[0]?.node as AnyNode | undefined;
    return declared?.type === "VariableDeclarator" ? (declared.init ?? null) : null;
  }
}
