import type { Json } from "@towpath/contract";
import {
  closest,
  type Fault,
  isSchema,
  parameterKind,
  parametersOf,
  typedValue,
  typesOf,
} from "@towpath/contract/words";
import { InvalidParameters, TowpathError } from "../problem.ts";
import type { ParametersSchema } from "./json-schema.ts";
import { faultsOf, type StandardSchema } from "./standard-schema.ts";

/** A flow with the schema of its parameters; null if its library offers no JSON Schema. */
export interface ArgumentsOf {
  readonly name: string;
  readonly schema: ParametersSchema | null;
}

/** A word of a command line that is neither a parameter nor an answer. */
export class WrongArgument extends TowpathError {
  override readonly name = "WrongArgument";
  constructor(message: string, next: string) {
    super("wrong-argument", message, { next });
  }
}

/** The schema as JSON. A schema library may leave functions and undefined fields in it. */
function asJson(schema: unknown): { [key: string]: Json } {
  const value: Json = schema === undefined ? null : JSON.parse(JSON.stringify(schema));
  return isSchema(value) ? value : {};
}

/**
 * Parses a value by the types in its JSON Schema. Text that does not parse as one of them stays text. A value without a type
 * is JSON if it parses, else text.
 */
export function valueFromText(schema: unknown, text: string): unknown {
  const root = asJson(schema);
  const typed = typedValue("value", { text, types: typesOf(root, root) });
  return "value" in typed ? typed.value : text;
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
function assignments(argv: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (const argument of argv) {
    if (FLAGS.includes(argument)) continue;
    const text = argument.replace(/^(-p|--param)=/, "");
    const at = text.indexOf("=");
    if (at < 1) throw new WrongArgument(`"${argument}" is not a parameter.`, "Write it as name=value.");
    found.push([text.slice(0, at).replace(/^--/, ""), text.slice(at + 1)]);
  }
  return found;
}

/** The longest value that a fault quotes, characters. */
const QUOTED_CHARS_MAX = 60;

/** A fault with the value that was given, unless it is long or no single value. */
function withValue({ message, ...rest }: Fault, value: unknown): Fault {
  const isOne = ["string", "number", "boolean"].includes(typeof value);
  const text = isOne ? JSON.stringify(value) : "";
  if (text === "" || text.length > QUOTED_CHARS_MAX) return { ...rest, message };
  // The words of a schema library are sentences of their own.
  if (!message.startsWith("must ") && !message.includes(" must be "))
    return { ...rest, message: `${message} (given: ${text})` };
  return { ...rest, message: `${message.replace(/, not (an? )?\w+$/, "")}, not ${text}` };
}

/**
 * Parses parameters from a command line.
 * @throws WrongArgument for anything but `key=value`.
 * @throws InvalidParameters for unknown keys, with the closest known one, and for values of another type.
 */
export function parseArguments(flow: ArgumentsOf, argv: readonly string[]): Record<string, unknown> {
  const pairs = assignments(argv);
  const root = asJson(flow.schema ?? undefined);
  const fields = isSchema(root.properties) ? root.properties : {};
  const known = Object.keys(fields);
  const faults: Fault[] = [];
  const values = new Map<string, unknown>();
  for (const [key, text] of pairs) {
    if (flow.schema !== null && !known.includes(key)) faults.push(unknownField(key, known));
    const typed = typedValue(key, { text, types: typesOf(fields[key], root) });
    if ("value" in typed) values.set(key, typed.value);
    else faults.push(withValue(typed, text));
  }
  if (faults.length > 0) throw new InvalidParameters(flow.name, faults);
  return Object.fromEntries(values);
}

/** Steps of a check against a flow's own schema. */
const CHECK_STEPS = 1_000_000;

function valueAt(parameters: unknown, path: string): unknown {
  let at: unknown = parameters;
  for (const key of path.split(".").slice(1))
    at =
      typeof at === "object" && at !== null
        ? Object.entries(at).find(([name]) => name === key)?.[1]
        : undefined;
  return at;
}

/**
 * Checks a command line's parameters with the flow's schema, before the flow runs. Faults have the words of `towpath run`
 * where the JSON Schema finds them too. The words of the schema library remain for its own checks.
 * @throws InvalidParameters
 */
export async function checkParameters(
  flow: ArgumentsOf & { readonly input: StandardSchema | null },
  parameters: object,
): Promise<void> {
  const answer = await flow.input?.["~standard"].validate(parameters);
  if (!answer?.issues) return;
  // Loaded only here, because most runs have no fault.
  const { checkValue, Compiled } = await import("@towpath/contract/schema");
  const root = "parameters";
  const value: Json = JSON.parse(JSON.stringify(parameters));
  const checked = checkValue(new Compiled(asJson(flow.schema ?? undefined)), {
    value,
    root,
    steps: CHECK_STEPS,
    patterns: true,
  });
  const own = checked.faults ?? [];
  const isFound = ({ path }: Fault) =>
    own.some((one) => one.path === path || one.path.startsWith(`${path}.`));
  const theirs = faultsOf(root, answer.issues).filter((fault) => !isFound(fault));
  throw new InvalidParameters(
    flow.name,
    [...own, ...theirs].map((fault) => withValue(fault, valueAt(parameters, fault.path))),
  );
}

/** One line for each parameter of a flow: `count=…  integer, default 1`. */
export function argumentLines(schema: ParametersSchema | null): string[] {
  const all = parametersOf(asJson(schema ?? undefined)).filter(({ name }) => name !== "");
  const width = Math.max(0, ...all.map(({ name }) => name.length));
  return all.map((one) => {
    const about = one.description === null ? "" : `. ${one.description}`;
    return `${`${one.name}=…`.padEnd(width + 2)}  ${parameterKind(one)}${about}`;
  });
}
