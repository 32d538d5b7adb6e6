import type { Fault, Json } from "@towpath/contract";

/** The most subschemas that are checked. */
const SUBSCHEMAS_MAX = 10_000;
/** The most faults in one answer. */
const FAULTS_MAX = 20;
const PATTERN_CHARS_MAX = 512;

const TYPES = ["null", "boolean", "object", "array", "number", "string", "integer"];

/** Keywords whose value is a schema, a list of schemas, or an object of schemas. */
const SCHEMA_KEYWORDS = [
  "additionalProperties",
  "items",
  "contains",
  "not",
  "if",
  "then",
  "else",
  "propertyNames",
];
const LIST = ["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

type JsonObject = { [key: string]: Json };

interface Place {
  readonly schema: Json;
  readonly path: string;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The target of a local reference, or undefined. */
function follow(root: JsonObject, pointer: string): Json | undefined {
  let at: Json | undefined = root;
  for (const raw of pointer.split("/").slice(1)) {
    const key = raw.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(at)) at = at[Number(key)];
    else if (isObject(at) && Object.hasOwn(at, key)) at = at[key];
    else return undefined;
  }
  return at;
}

function patternFault(pattern: Json | undefined): string | null {
  if (pattern === undefined) return null;
  if (typeof pattern !== "string") return "must be a string";
  if (pattern.length > PATTERN_CHARS_MAX) return `may have at most ${PATTERN_CHARS_MAX} characters`;
  try {
    new RegExp(pattern, "u");
    return null;
  } catch {
    return "is not a regular expression";
  }
}

function referenceFault(root: JsonObject, reference: Json | undefined): string | null {
  if (reference === undefined) return null;
  if (typeof reference !== "string" || !/^#(\/|$)/.test(reference))
    return "may only refer to this schema (#/…)";
  return follow(root, reference.slice(1)) === undefined ? "refers to nothing" : null;
}

function typeFault(type: Json | undefined): string | null {
  if (type === undefined) return null;
  const names = Array.isArray(type) ? type : [type];
  const known = names.every((name) => typeof name === "string" && TYPES.includes(name));
  return known && names.length > 0 ? null : `must be one of ${TYPES.join(", ")}`;
}

function requiredFault(required: Json | undefined): string | null {
  if (required === undefined) return null;
  const whole = Array.isArray(required) && required.every((name) => typeof name === "string");
  return whole ? null : "must be a list of names";
}

function ownFaults(root: JsonObject, args: { schema: JsonObject; path: string }): Fault[] {
  const { schema, path } = args;
  const patterns = isObject(schema.patternProperties) ? Object.keys(schema.patternProperties) : [];
  const checks: [string, string | null][] = [
    ["type", typeFault(schema.type)],
    ["required", requiredFault(schema.required)],
    ["pattern", patternFault(schema.pattern)],
    ["$ref", referenceFault(root, schema.$ref)],
    ["enum", schema.enum === undefined || Array.isArray(schema.enum) ? null : "must be a list"],
    ...patterns.map((key): [string, string | null] => ["patternProperties", patternFault(key)]),
  ];
  return checks.flatMap(([key, message]) => (message === null ? [] : [{ path: `${path}.${key}`, message }]));
}

function inner(args: { schema: JsonObject; path: string }): { places: Place[]; faults: Fault[] } {
  const places: Place[] = [];
  const faults: Fault[] = [];
  for (const key of SCHEMA_KEYWORDS) {
    const value = args.schema[key];
    if (value !== undefined) places.push({ schema: value, path: `${args.path}.${key}` });
  }
  for (const key of LIST) {
    const value = args.schema[key];
    if (Array.isArray(value))
      places.push(...value.map((schema, index) => ({ schema, path: `${args.path}.${key}.${index}` })));
    else if (value !== undefined)
      faults.push({ path: `${args.path}.${key}`, message: "must be a list of schemas" });
  }
  for (const key of NAMED) {
    const value = args.schema[key];
    if (isObject(value))
      places.push(
        ...Object.entries(value).map(([name, schema]) => ({ schema, path: `${args.path}.${key}.${name}` })),
      );
    else if (value !== undefined)
      faults.push({ path: `${args.path}.${key}`, message: "must be an object of schemas" });
  }
  return { places, faults };
}

/**
 * Finds why a JSON Schema cannot check parameters: unknown types, invalid patterns, references to nothing or to other
 * documents. Returns at most 20 faults, and none for a usable schema.
 */
export function schemaFaults(root: JsonObject, at: string): Fault[] {
  const faults: Fault[] = [];
  const rest: Place[] = [{ schema: root, path: at }];
  let seen = 0;
  for (let place = rest.pop(); place !== undefined && faults.length < FAULTS_MAX; place = rest.pop()) {
    seen += 1;
    if (seen > SUBSCHEMAS_MAX) return [{ path: at, message: `has more than ${SUBSCHEMAS_MAX} subschemas` }];
    const { schema, path } = place;
    if (typeof schema === "boolean") continue;
    if (!isObject(schema)) {
      faults.push({ path, message: "must be a schema: an object, true or false" });
      continue;
    }
    const within = inner({ schema, path });
    faults.push(...ownFaults(root, { schema, path }), ...within.faults);
    rest.push(...within.places);
  }
  return faults.slice(0, FAULTS_MAX);
}
