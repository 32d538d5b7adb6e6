import type { Outlines } from "./outlines.ts";

/** The secrets and resources that a flow's modules name. */
export interface NameUses {
  /** Secrets that the code reads by `secret("…")`, each with the first module that does. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Resources that the modules declare. */
  readonly resources: ReadonlySet<string>;
}

/** Finds secrets and resources in a flow's modules. Finds only names that are written in the code. */
export function nameUses(outlines: Outlines): NameUses {
  const secrets = new Map<string, string>();
  const resources = new Set<string>();
  for (const module of outlines.modules)
    for (const statement of outlines.of(module).statements)
      for (const { fn, name } of statement.names) {
        if (fn === "resource") resources.add(name);
        else if (!secrets.has(name)) secrets.set(name, module.path);
      }
  return { secrets, resources };
}
