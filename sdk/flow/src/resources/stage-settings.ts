import { closest, type Fault } from "@towpath/contract/words";
import { ownJsonSchema } from "../input/json-schema.ts";
import type { SchemaIssue } from "../input/standard-schema.ts";
import { type DeclaredSettings, declaredResources } from "./declared.ts";
import { isFields, overridden, secretNamed } from "./settings.ts";

/** The deepest nesting of settings that is checked for unknown names. */
const DEPTH_MAX = 16;

/** Settings of one resource in a stage, from its `settings` method. */
export interface StageSettings {
  /** The resource's name. */
  readonly resource: string;
  readonly settings: unknown;
}

/** The known names of an object's fields. Null: any name is allowed. */
function knownNames(written: unknown, schema: unknown): string[] | null {
  const own = isFields(written) ? Object.keys(written) : [];
  if (!isFields(schema)) return own.length === 0 ? null : own;
  const { properties, additionalProperties = false } = schema;
  if (!isFields(properties) || additionalProperties !== false) return null;
  return [...new Set([...own, ...Object.keys(properties)])];
}

const fieldOf = (value: unknown, key: string) =>
  isFields(value) && Object.hasOwn(value, key) ? value[key] : undefined;

interface Level {
  readonly path: string;
  readonly given: unknown;
  readonly written: unknown;
  readonly schema: unknown;
}

function unknownIn({ path, given, written, schema }: Level, depth: number): Fault[] {
  if (!isFields(given) || secretNamed(given) !== null || depth > DEPTH_MAX) return [];
  const known = knownNames(written, schema);
  return Object.entries(given).flatMap(([key, value]): Fault[] => {
    const field = `${path}.${key}`;
    if (known !== null && !known.includes(key)) {
      const near = closest(key, known);
      const suggestion = near === null ? `known: ${known.join(", ")}` : `did you mean "${near}"?`;
      return [{ path: field, message: `unknown setting "${key}"`, suggestion }];
    }
    const schemaOfField = schema === OPEN ? OPEN : fieldOf(fieldOf(schema, "properties"), key);
    return unknownIn(
      { path: field, given: value, written: fieldOf(written, key), schema: schemaOfField },
      depth + 1,
    );
  });
}

/** Stands for a schema that does not tell its names. */
const OPEN = {};

/** The schema that tells the names of the settings. Undefined: those in the code tell them. */
function namesSchema({ config, schema }: DeclaredSettings): unknown {
  if (config === undefined) return schema ?? undefined;
  try {
    return ownJsonSchema(config) ?? OPEN;
  } catch {
    return OPEN;
  }
}

/**
 * Settings of a stage with names that the resource does not have. Without a schema, the settings in the code define the
 * names; an empty object there allows any.
 * @param path The path of the settings in the faults.
 */
export function unknownSettings(declared: DeclaredSettings, args: { path: string; given: unknown }): Fault[] {
  return unknownIn({ ...args, written: declared.settings, schema: namesSchema(declared) }, 0);
}

/** The paths of placeholders of secrets, whose values only the worker knows. */
function secretPaths(value: unknown, path: readonly string[] = []): string[][] {
  if (!isFields(value) && !Array.isArray(value)) return [];
  if (isFields(value) && secretNamed(value) !== null) return [[...path]];
  if (path.length >= DEPTH_MAX) return [];
  return Object.entries(value).flatMap(([key, inner]) => secretPaths(inner, [...path, key]));
}

const keysOf = ({ path = [] }: SchemaIssue) =>
  path.map((part) => String(typeof part === "object" ? part.key : part));

/** Whether an issue may be about a secret's placeholder: it is at it, below it, or about an object that contains it. */
function maySecret(keys: readonly string[], secrets: readonly string[][]): boolean {
  return secrets.some((secret) =>
    secret.slice(0, keys.length).every((key, index) => key === (keys[index] ?? key)),
  );
}

async function valueFaults(
  declared: DeclaredSettings,
  args: { path: string; given: unknown },
): Promise<Fault[]> {
  const { config, settings = {} } = declared;
  if (config === undefined) return [];
  const whole = overridden(settings, args.given);
  const secrets = secretPaths(whole);
  const { issues = [] } = await config["~standard"].validate(whole);
  return issues
    .map((issue) => ({ keys: keysOf(issue), message: issue.message }))
    .filter(({ keys }) => !maySecret(keys, secrets))
    .map(({ keys, message }) => ({ path: [args.path, ...keys].join("."), message }));
}

/**
 * What is wrong with the settings of resources in a stage: unknown names, and values that the resource's schema refuses,
 * also for resources that the stage does not mention. Values from secrets are not checked, because only workers know them.
 * @param stage.path The path of the stage's resources in the faults.
 * @param stage.inPython The resources of flows in Python. The run checks the values of their settings.
 */
export async function stageFaults(stage: {
  readonly path: string;
  readonly resources: Readonly<Record<string, unknown>>;
  readonly inPython?: readonly DeclaredSettings[];
}): Promise<Fault[]> {
  const inPython = (stage.inPython ?? []).map((one) => [one.name, one] as const);
  const declared = new Map([...declaredResources(), ...inPython]);
  const names = [...declared.keys()];
  const faults = Object.keys(stage.resources)
    .filter((name) => !declared.has(name))
    .map((name): Fault => {
      const near = closest(name, names);
      const suggestion = near === null ? `known: ${names.join(", ") || "none"}` : `did you mean "${near}"?`;
      return { path: `${stage.path}.${name}`, message: `unknown resource "${name}"`, suggestion };
    });
  for (const one of declared.values()) {
    const args = { path: `${stage.path}.${one.name}`, given: stage.resources[one.name] };
    const unknown = unknownSettings(one, args);
    const named = new Set(unknown.map(({ path }) => path));
    const values = await valueFaults(one, args);
    faults.push(...unknown, ...values.filter(({ path }) => !named.has(path)));
  }
  return faults;
}
