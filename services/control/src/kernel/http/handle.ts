import type { AnswerOf, BodyOf, ParamsOf, QueryOf, Route, RouteName } from "@towpath/contract";
import type { Context, Hono } from "hono";
import type { Deps } from "../deps.ts";
import type { Scope, WorkerScope } from "../scope.ts";

/** The caller by the route's permission: the scope of a person or key, of a worker, or null. */
export type CallerOf<R extends Route> = R["permission"] extends "worker"
  ? WorkerScope
  : R["permission"] extends "worker-key"
    ? Scope & { readonly keyPool: string | null }
    : R["permission"] extends "public"
      ? null
      : Scope;

/**
 * The argument of a handler: parsed input, the caller, and a signal that fires when the caller leaves or the server
 * stops.
 */
export interface Request<R extends Route> {
  readonly deps: Deps;
  readonly scope: CallerOf<R>;
  readonly params: ParamsOf<R>;
  readonly query: QueryOf<R>;
  readonly body: BodyOf<R>;
  readonly signal: AbortSignal;
  readonly c: Context;
}

/** One server-sent event of a `stream` route. */
export interface StreamEvent {
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

/** The answer of a `text` route: a file that is sent while it is made. */
export interface TextFile {
  /** The name of the file: letters, digits, dots and dashes. */
  readonly name: string;
  readonly parts: AsyncIterable<string>;
}

/** Answers one route. The input is parsed, problems are thrown, and the contract types the answer. */
export type Handler<R extends Route> = R["stream"] extends true
  ? (request: Request<R>) => Promise<AsyncIterable<StreamEvent>>
  : R["answer"] extends "text"
    ? (request: Request<R>) => Promise<TextFile>
    : (request: Request<R>) => Promise<AnswerOf<R>>;

/**
 * Admits the caller of a public route by its address alone, before the body is read.
 * @throws Problem for a caller who is refused.
 */
export type AddressCheck<R extends Route> = (
  request: Pick<Request<R>, "deps" | "params" | "query">,
) => Promise<void>;

/** Registers the handler of one row of the route table. A public row with a body must have an address check. */
export type Register = <N extends RouteName>(
  name: N,
  handler: Handler<typeof import("@towpath/contract").ROUTES[N]>,
  checkAddress?: AddressCheck<typeof import("@towpath/contract").ROUTES[N]>,
) => void;

/** The routes of a slice: a function that registers each of its rows once. */
export type SliceRoutes = (register: Register) => void;

/** The application for all slices. */
export type App = Hono;
