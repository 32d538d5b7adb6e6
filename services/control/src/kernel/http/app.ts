import { randomUUID } from "node:crypto";
import { Problem, ROUTES, type Route } from "@towpath/contract";
import { AnswerDropped } from "@towpath/contract/failpoint";
import { type Context, Hono } from "hono";
import type { Deps } from "../deps.ts";
import { readingFor } from "../read-turns.ts";
import { type Admission, watchAdmission, withCleanup } from "./admission.ts";
import { type Admitted, atOnce, grant, type Identify } from "./caller.ts";
import { problemAnswer, problemOf } from "./failure.ts";
import { type Gate, openGate } from "./gate.ts";
import type { SliceRoutes, TextFile } from "./handle.ts";
import { type Headers, securityHeaders, setHeaders } from "./headers.ts";
import { readAddress, readInput } from "./input.ts";
import { bytesOf, type LargeBodies, openLargeBodies, readMsOf } from "./large-bodies.ts";
import { cutConnection } from "./node-request.ts";
import { PROBES } from "./probes.ts";
import { refusePlainValues } from "./refuse-plain.ts";
import { asEvents, asText, gatherHandlers, type LooseHandler, type Registered, routeOf } from "./registry.ts";
import { streamAnswer } from "./stream.ts";

declare module "hono" {
  interface ContextVariableMap {
    /** The row of the route table, once it is known. */
    route: Route;
    /** The failure in the answer. */
    problem: Problem;
    /** The headers of every answer to this request. */
    headers: Headers;
  }
}

/** The parts of the application. */
export interface AppParts {
  readonly deps: Deps;
  readonly identify: Identify;
  readonly slices: readonly SliceRoutes[];
  /** Adds pages that are not in the route table: health, sign-in. They run before the API's own "not found". */
  readonly pages?: ((app: Hono) => void)[];
  /** Fires when the server is about to stop: waiting calls then answer at once. */
  readonly shutdown: AbortSignal;
}

/** An answer violates the contract. This is a fault of ours. */
class AnswerFault extends Error {
  override readonly name = "AnswerFault";
}

const honoPath = (path: string) => path.replace(/\{(\w+)\}/g, ":$1");

/** Frequent calls of workers and probes. If they succeed, they are logged at level debug. */
function isFrequent(route: Route | undefined): boolean {
  return route === undefined || route.permission === "worker";
}

function logRequest(deps: Deps, c: Context, args: { id: string; startMs: number }): void {
  const route: Route | undefined = c.get("route");
  const problem: Problem | undefined = c.get("problem");
  const status = c.res.status;
  const level = status >= 500 ? "error" : isFrequent(route) && status < 400 ? "debug" : "info";
  deps.log[level](
    {
      method: c.req.method,
      route: route?.path ?? "-",
      status,
      ms: Math.round(performance.now() - args.startMs),
      request: args.id,
      ...(problem ? { code: problem.code } : {}),
      ...(status >= 500 && problem?.cause !== undefined ? { err: problem.cause } : {}),
    },
    "request",
  );
}

function observe(deps: Deps) {
  const security = securityHeaders(deps.config);
  return async (c: Context, next: () => Promise<void>) => {
    const id = randomUUID();
    const startMs = performance.now();
    c.set("headers", { ...security, "x-request-id": id });
    await next();
    logRequest(deps, c, { id, startMs });
  };
}

/**
 * Limits the rate of requests that are not in the route table. Probes pass: they cost little, and a flood must not fail
 * a health check.
 */
function limitPages(gate: Gate) {
  return async (c: Context, next: () => Promise<void>) => {
    if (!PROBES.has(c.req.path)) gate.admitToPage(c);
    await next();
  };
}

/** For answers that the framework makes: it collects their headers in an object of its own. */
async function setDefaultHeaders(c: Context, next: () => Promise<void>): Promise<void> {
  setHeaders(c, c.get("headers"));
  await next();
}

/**
 * Checks an answer if that is configured, and makes the response. JSON bypasses the framework, because its headers in a
 * plain object are faster.
 */
function shape(deps: Deps, args: { c: Context; route: Route; answer: unknown }): Response {
  const { c, route, answer } = args;
  if (typeof route.answer === "string" || route.status === 204) return shapeOther(args);
  if (deps.config.checkAnswers) {
    const checked = route.answer.safeParse(answer);
    if (!checked.success) {
      const paths = checked.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
      throw new AnswerFault(
        `${route.method} ${route.path} answers outside the contract: ${paths.join("; ")}`,
      );
    }
  }
  const headers = { ...c.get("headers"), "cache-control": "no-store", "content-type": "application/json" };
  return new Response(JSON.stringify(answer), { status: route.status, headers });
}

function shapeOther({ c, route, answer }: { c: Context; route: Route; answer: unknown }): Response {
  setHeaders(c, { ...c.get("headers"), "cache-control": "no-store" });
  return route.answer === "text" ? textAnswer(c, asText(answer)) : c.body(null, 204);
}

/** A person's reads count for their workspace. Workers' calls do not share connections with reads. */
function handlerFor(handler: LooseHandler, { scope }: Admitted): LooseHandler {
  if (scope === null || !("permissions" in scope)) return handler;
  return (request) => readingFor(scope.workspaceId, () => handler(request));
}

function serve(parts: AppParts, args: { route: Route; gate: Gate; bodies: LargeBodies } & Registered) {
  const { identify } = parts;
  const { route, handler, gate, bodies, checkAddress } = args;
  return async (c: Context): Promise<Response> => {
    c.set("route", route);
    const ask = async () => grant(await identify(c, atOnce), route.permission);
    const admitted = await gate.admit({ c, route });
    const bytes = bytesOf(c, route);
    const admittedRequest = { c, route, handler, checkAddress, admitted, ask, readMs: readMsOf(bytes) };
    const reply = () => answerTo(parts, admittedRequest);
    const { scope } = admitted;
    if (scope === null) return reply();
    return bodies.during({ workspaceId: scope.workspaceId, bytes, left: () => c.req.raw.signal }, reply);
  };
}

/** A request whose caller was admitted. */
interface AdmittedRequest extends Registered {
  readonly c: Context;
  readonly route: Route;
  readonly admitted: Admitted;
  readonly ask: () => Promise<Admitted>;
  /** How long its body may take to arrive, milliseconds. Null: as long as the connection may. */
  readonly readMs: number | null;
}

/** Reads a request, calls its handler and makes the response. */
async function answerTo({ deps, shutdown }: AppParts, args: AdmittedRequest): Promise<Response> {
  const { c, route, handler, checkAddress, admitted, ask, readMs } = args;
  const address = readAddress(c, route);
  await checkAddress?.({ deps, ...address });
  const input = await readInput(c, route, { ...address, readMs });
  if (admitted.scope?.sealed) refusePlainValues(route, input.body);
  const request = { deps, scope: admitted.scope, c, ...input };
  const left = () => AbortSignal.any([c.req.raw.signal, shutdown]);
  const handle = handlerFor(handler, admitted);
  if (route.stream) {
    const admission = watchAdmission(deps, { admitted, ask });
    const open = (signal: AbortSignal) => handle({ ...request, signal });
    return answerStream(deps, { c, admission, left: left(), open });
  }
  let admission: Admission | undefined;
  try {
    const answer = await handle({
      ...request,
      /** Created only on use: most handlers answer before the caller could leave or be refused. */
      get signal() {
        admission ??= watchAdmission(deps, { admitted, ask });
        return AbortSignal.any([left(), admission.over]);
      },
    });
    return shape(deps, { c, route, answer: await stamped(deps, { route, answer }) });
  } finally {
    admission?.stop();
  }
}

/** An answer to a worker with the database's incarnation and position. Other answers are unchanged. */
async function stamped(deps: Deps, { route, answer }: { route: Route; answer: unknown }): Promise<unknown> {
  if (route.permission !== "worker" && route.permission !== "worker-key") return answer;
  const { id: incarnation, position } = deps.incarnations.known ?? (await deps.incarnations.current());
  return { ...Object(answer), incarnation, position };
}

/** Answers with events. The stream ends when the caller loses the right to read. */
async function answerStream(
  deps: Deps,
  args: {
    c: Context;
    admission: Admission;
    left: AbortSignal;
    open: (signal: AbortSignal) => Promise<unknown>;
  },
): Promise<Response> {
  const { admission } = args;
  const signal = AbortSignal.any([args.left, admission.over]);
  args.left.addEventListener("abort", admission.stop, { once: true });
  try {
    const events = withCleanup(asEvents(await args.open(signal)), admission.stop);
    const { body, headers } = streamAnswer(events, { signal, log: deps.log });
    setHeaders(args.c, args.c.get("headers"));
    return args.c.newResponse(body, { status: 200, headers });
  } catch (error) {
    admission.stop();
    throw error;
  }
}

function matches(route: Route, path: string): boolean {
  return new RegExp(`^${route.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(path);
}

/** The answer to a failure. The failure is kept for the log. */
function answerProblem(c: Context, problem: Problem): Response {
  c.set("problem", problem);
  setHeaders(c, c.get("headers"));
  return problemAnswer(c, problem);
}

/** The answer if no route matches. It names the methods that this path supports. */
function answerNotFound(c: Context): Response {
  const methods = Object.values(ROUTES).flatMap((route) =>
    matches(route, c.req.path) ? [route.method] : [],
  );
  if (methods.length > 0) c.header("allow", methods.join(", "));
  const detail =
    methods.length > 0
      ? `This path supports ${methods.join(", ")}, not ${c.req.method}.`
      : "There is no such path. See /openapi.json for the list.";
  return answerProblem(c, new Problem("not-found", detail));
}

/**
 * Builds the HTTP application: every row of the route table, and the pages.
 * @throws RegistrationError unless every row has exactly one handler.
 */
export function createApp(parts: AppParts): Hono {
  const handlers = gatherHandlers(parts.slices);
  const gate = openGate({ config: parts.deps.config, identify: parts.identify });
  const bodies = openLargeBodies();
  const app = new Hono();
  app.use(observe(parts.deps));
  for (const [name, registered] of handlers) {
    const route = routeOf(name);
    app.on(route.method, honoPath(route.path), serve(parts, { route, gate, bodies, ...registered }));
  }
  app.use(limitPages(gate));
  app.all("/api/*", answerNotFound);
  app.use(setDefaultHeaders);
  for (const page of parts.pages ?? []) page(app);
  app.notFound(answerNotFound);
  app.onError((error, c) => {
    if (error instanceof AnswerDropped) cutConnection(c);
    return answerProblem(c, problemOf(error));
  });
  return app;
}

/**
 * Answers with a text file, one part at a time as the reader takes them. A failure breaks the connection, so that
 * nobody mistakes half a file for a whole one.
 */
export function textAnswer(c: Context, { name, parts }: TextFile): Response {
  const encoder = new TextEncoder();
  const iterator = parts[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await iterator.next();
        if (next.done === true) controller.close();
        else controller.enqueue(encoder.encode(next.value));
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 1 },
  );
  return c.body(body, 200, {
    "content-type": "text/plain; charset=utf-8",
    "content-disposition": `attachment; filename="${name}"`,
  });
}
