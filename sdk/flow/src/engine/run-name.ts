import { describeError } from "./describe-error.ts";
import type { Warn } from "./endings.ts";

/** The longest name of a run, characters. */
const CHARS_MAX = 200;

/**
 * The name of a run: a template in which `{field}` and `{field.inner}` stand for values of the input, or a function of
 * the input. Lists show it, so it leaves your network: do not use sensitive values.
 */
export type RunNaming<Input> = string | ((input: Input) => string);

function valueAt(input: unknown, path: string): unknown {
  let value = input;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Object.getOwnPropertyDescriptor(value, key)?.value;
  }
  return value;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (value instanceof Date) return Number.isFinite(value.getTime()) ? value.toISOString() : "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function rendered(template: string, input: unknown): string {
  return template.replace(/\{([\w$][\w$.-]*)\}/g, (_, path: string) => textOf(valueAt(input, path)));
}

/** The name of a run in one row of text; null if it is empty. A failure is a warning. */
export function runNameOf(naming: RunNaming<never>, input: unknown, warn: Warn): string | null {
  try {
    const name = typeof naming === "string" ? rendered(naming, input) : naming(input as never);
    const line = String(name)
      .toWellFormed()
      .replace(/\p{Cc}+/gu, " ")
      .trim();
    return line === "" ? null : line.slice(0, CHARS_MAX).toWellFormed();
  } catch (error) {
    warn(`The run has no name because runName failed: ${describeError(error).message}`);
    return null;
  }
}
