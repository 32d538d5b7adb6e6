import type { StandardSchema } from "../input/standard-schema.ts";
import { overridden, secretsIn } from "./settings.ts";

/** What a deploy needs to know about a resource. */
export interface DeclaredSettings {
  readonly name: string;
  readonly config?: StandardSchema | undefined;
  readonly settings?: unknown;
  /** The JSON Schema of the settings of a resource in Python. Null: those in the code name them. */
  readonly schema?: Readonly<Record<string, unknown>> | null;
}

const KEY = Symbol.for("towpath.resources");

/** Global, so that two copies of this package in one process know the same resources. */
function registry(): Map<string, DeclaredSettings> {
  const home: typeof globalThis & { [KEY]?: Map<string, DeclaredSettings> } = globalThis;
  home[KEY] ??= new Map();
  return home[KEY];
}

/** Registers a resource that a module declares while it loads, so that deploying knows its settings. */
export function declareResource(declared: DeclaredSettings): void {
  registry().set(declared.name, declared);
}

/** The declared resources by name. */
export function declaredResources(): ReadonlyMap<string, DeclaredSettings> {
  return registry();
}

/**
 * The names of the secrets in a declared resource's settings.
 * @param overrides The stage's settings of the resource; undefined without a stage.
 */
export function resourceSecrets(name: string, overrides: unknown): readonly string[] {
  return [...secretsIn(overridden(registry().get(name)?.settings ?? {}, overrides))];
}
