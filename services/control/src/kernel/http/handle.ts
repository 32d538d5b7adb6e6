import type { AnswerOf, BodyOf, ParamsOf, QueryOf, Route, RouteName } from "@towpath/contract";
import type { Context, Hono } from "hono";
import type { Deps } from "../deps.ts";
import type { Scope, WorkerScope } from "../scope.ts";

/** Who is calling, as the route's permission asks: a person's or key's scope, a worker's, or nobody in particular. */
export type CallerOf<R extends Route> = R["permission"] extends "worker"
  ? WorkerScope
  : R["permission"] extends "worker-key"
    ? Scope & { readonly keyPool: string | null }
    : R["permission"] extends "public"
      ? null
      : Scope;

/** What a handler is given: parsed input, who is calling, and a signal that fires when the caller has gone or we shut down. */
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

/** The answer of a `text` route: a file that is sent as it is made. */
export interface TextFile {
  /** Under what name it is kept; letters, digits, dots and dashes. */
  readonly name: string;
  readonly parts: AsyncIterable<string>;
}

/** Answers one route: parse is done, problems are thrown, the answer is shaped by the contract. */
export type Handler<R extends Route> = R["stream"] extends true
  ? (request: Request<R>) => Promise<AsyncIterable<StreamEvent>>
  : R["answer"] extends "text"
    ? (request: Request<R>) => Promise<TextFile>
    : (request: Request<R>) => Promise<AnswerOf<R>>;

/**
 * Lets the caller of a public route in, by its address alone, before the body is read.
 * @throws Problem for whoever may not call.
 */
export type AddressCheck<R extends Route> = (
  request: Pick<Request<R>, "deps" | "params" | "query">,
) => Promise<void>;

/** Registers the handler of one row of the table of routes. A public row that takes a body has its address checked. */
export type Register = <N extends RouteName>(
  name: N,
  handler: Handler<typeof import("@towpath/contract").ROUTES[N]>,
  checkAddress?: AddressCheck<typeof import("@towpath/contract").ROUTES[N]>,
) => void;

/** What a slice exports as its routes: a function that registers each of its rows once. */
export type SliceRoutes = (register: Register) => void;

/** The application that all slices register on. */
export type App = Hono;
