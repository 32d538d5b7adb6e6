import { overridden, secretsIn } from "./settings.ts";

const KEY = Symbol.for("towpath.resources");

/** Global, so that two copies of this package in one process know the same resources. */
function registry(): Map<string, unknown> {
  const home: typeof globalThis & { [KEY]?: Map<string, unknown> } = globalThis;
  home[KEY] ??= new Map();
  return home[KEY];
}

/** Registers a resource that a module declares while it loads, so that deploying knows its settings. */
export function declareResource(name: string, settings: unknown): void {
  registry().set(name, settings);
}

/**
 * The names of the secrets in a declared resource's settings.
 * @param overrides The stage's settings of the resource; undefined without a stage.
 */
export function resourceSecrets(name: string, overrides: unknown): readonly string[] {
  return [...secretsIn(overridden(registry().get(name) ?? {}, overrides))];
}
