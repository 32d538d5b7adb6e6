import { isProblemCode, openApi, PROBLEMS, ROUTES } from "@towpath/contract";
import type { Hono } from "hono";
import { sql } from "#sql";
import type { Deps } from "../deps.ts";
import { VERSION } from "../version.ts";
import { PROBLEMS_PATH } from "./failure.ts";

/** How long `/readyz` waits for the database, milliseconds. */
const READY_TIMEOUT_MS = 2_000;

/** How long the answer of the database is cached, milliseconds. */
const READY_FRESH_MS = 1_000;
/** The paths of the probes. Their rate is not limited. */
export const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** Why the database cannot serve this process, or null. */
function askDatabase(deps: Deps): Promise<string | null> {
  return deps.database.db
    .execute(sql`select 1 from installation`)
    .then((rows) => (rows.length === 1 ? null : "the database is not migrated"))
    .catch(() => "the database does not answer");
}

/** Why this process should get no traffic now, or null. Concurrent probes share one query. */
function watchReadiness(deps: Deps, shutdown: AbortSignal): () => Promise<string | null> {
  let known: { readonly reason: string | null; readonly atMs: number } | null = null;
  let asked: Promise<string | null> | null = null;
  return async () => {
    if (shutdown.aborted) return "stopping";
    if (known !== null && performance.now() - known.atMs < READY_FRESH_MS) return known.reason;
    asked ??= askDatabase(deps).finally(() => {
      asked = null;
    });
    let timer: NodeJS.Timeout | undefined;
    const slow = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("the database does not answer"), READY_TIMEOUT_MS);
    });
    const reason = await Promise.race([asked, slow]);
    clearTimeout(timer);
    known = { reason, atMs: performance.now() };
    return reason;
  };
}

/** The explanation of one problem in a few lines. Null if there is no such problem. */
function explain(code: string): string | null {
  if (!isProblemCode(code)) return null;
  const { title, status, retryable } = PROBLEMS[code];
  const again = retryable ? "The same request may succeed later." : "The same request will fail again.";
  return `${code}\n\n${title}.\nHTTP status ${status}. ${again}\n`;
}

/**
 * Adds `/healthz` (the process is alive), `/readyz` (it may get traffic: the database answers and is migrated),
 * `/openapi.json` from the route table, and `/problems/{code}`, the address in the `type` of a problem.
 */
export function probes(deps: Deps, shutdown: AbortSignal) {
  return (app: Hono): void => {
    const notReady = watchReadiness(deps, shutdown);
    let document: string | undefined;
    app.get("/healthz", (c) => c.json({ status: "alive" }));
    app.get("/readyz", async (c) => {
      const reason = await notReady();
      return reason === null ? c.json({ status: "ready" }) : c.json({ status: "not ready", reason }, 503);
    });
    app.get(`${PROBLEMS_PATH}/:code`, (c, next) => {
      const text = explain(c.req.param("code"));
      return text === null ? next() : c.text(text);
    });
    app.get("/openapi.json", (c) => {
      document ??= JSON.stringify(openApi(ROUTES, VERSION));
      return c.body(document, 200, { "content-type": "application/json" });
    });
  };
}
