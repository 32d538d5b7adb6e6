import { PROBLEMS, Problem } from "@towpath/contract";
import type { Context } from "hono";
import { DrizzleQueryError } from "#sql";
import { isDatabaseAway } from "../database-errors.ts";

/** The path of the pages about problems. The `type` of every problem is an address under it. */
export const PROBLEMS_PATH = "/problems";

/** The most causes that are followed. */
const CAUSES_MAX = 4;

function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}

/** Turns any failure into the problem for the caller. An unexpected failure reveals nothing. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (isDatabaseAway(error))
    return new Problem("unavailable", "The database does not answer. Try again.", { cause: error });
  return new Problem("internal", "The control plane's log has the details under this request id.", {
    cause: error,
  });
}

/**
 * The answer to a failure, RFC 9457.
 * @see https://www.rfc-editor.org/rfc/rfc9457
 */
export function problemAnswer(c: Context, problem: Problem): Response {
  const { title, status, retryable } = PROBLEMS[problem.code];
  if (status === 401) c.header("www-authenticate", "Bearer");
  if (status === 429 || status === 503)
    c.header("retry-after", String(Math.max(1, Math.ceil((problem.retryAfterMs ?? 0) / 1000))));
  const body = {
    type: `${PROBLEMS_PATH}/${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.detail,
    instance: c.req.path,
    retryable,
    ...(problem.faults.length > 0 ? { faults: problem.faults } : {}),
  };
  return c.body(JSON.stringify(body), status, { "content-type": "application/problem+json" });
}

const frames = (stack: string | undefined) =>
  (stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .join("\n");

/**
 * An error for the log. Messages of the database and of drizzle contain parameters and rows. Of them it keeps only the
 * text of the statement, the code, and the names of tables and constraints.
 */
export function loggableError(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const cause =
    error.cause === undefined || depth >= CAUSES_MAX ? {} : { cause: loggableError(error.cause, depth + 1) };
  const common = { type: error.name, stack: frames(error.stack), ...cause };
  if (error instanceof DrizzleQueryError) return { ...common, type: "DrizzleQueryError", query: error.query };
  if (error.name === "PostgresError") {
    const kept = ["code", "severity", "routine", "table_name", "column_name", "constraint_name"] as const;
    const facts = kept.flatMap((key) => (key in error ? [[key, Reflect.get(error, key)]] : []));
    return { ...common, ...Object.fromEntries(facts) };
  }
  return { ...common, message: error.message, ...(codeOf(error) === null ? {} : { code: codeOf(error) }) };
}
