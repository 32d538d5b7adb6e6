import { closest, type Fault } from "@towpath/contract/words";
import { InvalidParameters } from "../problem.ts";
import type { ParametersSchema } from "./json-schema.ts";

/** A flow with the schema of its parameters; null if its library offers no JSON Schema. */
export interface ArgumentsOf {
  readonly name: string;
  readonly schema: ParametersSchema | null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldsOf(schema: ParametersSchema): Record<string, unknown> {
  return isRecord(schema.properties) ? schema.properties : {};
}

/** The types a field's schema allows, through `anyOf` and `oneOf`. */
function typesOf(field: unknown): string[] {
  if (!isRecord(field)) return [];
  const branches = [field.anyOf, field.oneOf].flatMap((list) => (Array.isArray(list) ? list : []));
  const own = Array.isArray(field.type) ? field.type : [field.type];
  const named = own.filter((type) => typeof type === "string");
  const enums = Array.isArray(field.enum) ? field.enum.map((value) => typeof value) : [];
  return [...named, ...enums, ...branches.flatMap(typesOf)];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const READERS: Record<string, (text: string) => unknown> = {
  integer: (text) => (/^-?\d+$/.test(text) ? Number(text) : undefined),
  number: (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined),
  boolean: (text) => ({ true: true, false: false })[text],
  null: (text) => (text === "null" ? null : undefined),
  array: (text) => (text.startsWith("[") ? parsed(text) : undefined),
  object: (text) => (text.startsWith("{") ? parsed(text) : undefined),
};

/**
 * Parses one parameter by the type in its JSON Schema. Text that does not parse as that type stays text, so that
 * validation names the field. A field without a type is JSON if it parses, else text.
 */
export function parameterFromText(field: unknown, text: string): unknown {
  const types = typesOf(field);
  if (types.length === 0) return parsed(text) ?? text;
  for (const type of types) {
    const value = READERS[type]?.(text);
    if (value !== undefined) return value;
  }
  return text;
}

function unknownField(key: string, known: readonly string[]): Fault {
  const near = closest(key, known);
  const all = known.length === 0 ? "this flow takes none" : `known: ${known.join(", ")}`;
  return {
    path: `parameters.${key}`,
    message: `unknown parameter "${key}"`,
    suggestion: near === null ? all : `did you mean "${near}"?`,
  };
}

const FLAGS = ["-p", "--param"];

/** `-p key=value`, `--param key=value`, `--param=key=value` and `key=value` are the same. */
function assignments(flow: string, argv: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (const argument of argv) {
    if (FLAGS.includes(argument)) continue;
    const text = argument.replace(/^(-p|--param)=/, "");
    const at = text.indexOf("=");
    if (at < 1)
      throw new InvalidParameters(flow, [
        { path: argument, message: "is not a parameter", suggestion: "write key=value" },
      ]);
    found.push([text.slice(0, at).replace(/^--/, ""), text.slice(at + 1)]);
  }
  return found;
}

/**
 * Parses parameters from a command line.
 * @throws InvalidParameters for anything but `key=value`, and for unknown keys, with the closest known one.
 */
export function parseArguments(flow: ArgumentsOf, argv: readonly string[]): Record<string, unknown> {
  const fields = flow.schema === null ? null : fieldsOf(flow.schema);
  const pairs = assignments(flow.name, argv);
  if (fields !== null) {
    const known = Object.keys(fields);
    const faults = pairs.filter(([key]) => !known.includes(key)).map(([key]) => unknownField(key, known));
    if (faults.length > 0) throw new InvalidParameters(flow.name, faults);
  }
  return Object.fromEntries(pairs.map(([key, text]) => [key, parameterFromText(fields?.[key], text)]));
}
