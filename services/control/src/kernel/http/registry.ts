import { ROUTES, type Route, type RouteName } from "@towpath/contract";
import type { Context } from "hono";
import type { Deps } from "../deps.ts";
import type { GrantedScope } from "./caller.ts";
import type { AddressCheck, Handler, Register, SliceRoutes, StreamEvent, TextFile } from "./handle.ts";
import type { Input } from "./input.ts";

/** The argument of a handler whose route is known only at run time. */
export interface LooseRequest extends Input {
  readonly deps: Deps;
  readonly scope: GrantedScope;
  readonly signal: AbortSignal;
  readonly c: Context;
}

/** A handler whose route is known only at run time. */
export type LooseHandler = (request: LooseRequest) => Promise<unknown>;

/** An address check whose route is known only at run time. */
export type LooseAddressCheck = (request: Pick<LooseRequest, "deps" | "params" | "query">) => Promise<void>;

/** The functions that answer one route. */
export interface Registered {
  readonly handler: LooseHandler;
  readonly checkAddress: LooseAddressCheck | null;
}

/** Routes and handlers do not match. The program is wrong and must not serve. */
export class RegistrationError extends Error {
  override readonly name = "RegistrationError";
}

/** Drops a handler's exact types. Safe because the application calls it only with what its own row parsed and granted. */
function loosen<N extends RouteName>(handler: Handler<(typeof ROUTES)[N]>): LooseHandler {
  return handler as unknown as LooseHandler;
}

/** Drops a check's exact types, like `loosen`. */
function loosenCheck<N extends RouteName>(check: AddressCheck<(typeof ROUTES)[N]>): LooseAddressCheck {
  return check as unknown as LooseAddressCheck;
}

/** Casts an answer to events. `Handler` guarantees it for rows with `stream`. */
export function asEvents(answer: unknown): AsyncIterable<StreamEvent> {
  return answer as AsyncIterable<StreamEvent>;
}

/** Casts an answer to a file. `Handler` guarantees it for rows that answer `text`. */
export function asText(answer: unknown): TextFile {
  return answer as TextFile;
}

/** The row of a route by its name, without its exact types. */
export function routeOf(name: RouteName): Route {
  return ROUTES[name];
}

/** The names of all routes. */
const ROUTE_NAMES = Object.keys(ROUTES) as RouteName[];

/**
 * Collects the handlers of all slices.
 * @throws RegistrationError unless every row of the route table has exactly one handler, and every public row with a
 * body an address check: a body is read only if the caller may send one.
 */
export function gatherHandlers(slices: readonly SliceRoutes[]): ReadonlyMap<RouteName, Registered> {
  const handlers = new Map<RouteName, Registered>();
  const register: Register = (name, handler, checkAddress) => {
    if (handlers.has(name)) throw new RegistrationError(`The route ${name} has two handlers.`);
    const { permission, body } = routeOf(name);
    if (permission === "public" && body !== undefined && checkAddress === undefined)
      throw new RegistrationError(`The public route ${name} has a body but no address check.`);
    handlers.set(name, {
      handler: loosen(handler),
      checkAddress: checkAddress === undefined ? null : loosenCheck(checkAddress),
    });
  };
  for (const slice of slices) slice(register);
  const missing = ROUTE_NAMES.filter((name) => !handlers.has(name));
  if (missing.length > 0) throw new RegistrationError(`These routes have no handler: ${missing.join(", ")}.`);
  return handlers;
}
