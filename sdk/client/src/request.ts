import type { BodyInput, ParamsOf, QueryInput, Route } from "@towpath/contract";
import { NO_REDIRECT, readAnswer } from "./answer.ts";
import { ConnectionFailure } from "./failure.ts";
import type { LooseInput } from "./loose-input.ts";
import { mayPass, pause, pauseMs, wasRefusedUnread } from "./repeat.ts";
import type { Sealer } from "./sealing/options.ts";

type Nothing = Record<never, never>;
type Part<Key extends string, Value> = [Value] extends [undefined]
  ? Nothing
  : Nothing extends Value
    ? { [K in Key]?: Value }
    : { [K in Key]: Value };

/** What a call of this route needs: `params`, `query` and `body`, each only where the route has one. */
export type InputOf<R extends Route> = Part<"params", ParamsOf<R>> &
  Part<"query", QueryInput<R>> &
  Part<"body", BodyInput<R>>;

/** Options of one call. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Limit of one try, milliseconds. @default 30_000 */
  readonly timeoutMs?: number;
  /** Repetitions after the first try, for requests that are safe to repeat. 0 turns them off. @default 4 */
  readonly retries?: number;
  /** Whether the answer is checked against the contract. @default true */
  readonly validate?: boolean;
}

/** The control plane, the credentials and the default options of calls. */
export interface Target {
  /** Without a trailing slash. */
  readonly url: string;
  readonly fetch: typeof globalThis.fetch;
  readonly token: () => Promise<string | undefined>;
  readonly defaults: CallOptions;
  /** Seals requests and opens answers. Missing: neither. */
  readonly sealer?: Sealer;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_RETRIES = 4;

/** The path of a route with its parameters and query filled in. */
export function pathOf(route: Route, input: LooseInput): string {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(input.params?.[name] ?? "")),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(input.query ?? {}))
    if (value !== undefined) query.set(name, String(value));
  return query.size === 0 ? path : `${path}?${query}`;
}

/** The headers of every request. */
export async function headersOf(target: Target, accept: string): Promise<Record<string, string>> {
  const token = await target.token();
  return { accept, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
}

/** Whether the caller has aborted. */
export function isAbortOf(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

async function tryOnce(
  target: Target,
  args: { route: Route; input: LooseInput; options: CallOptions },
): Promise<unknown> {
  const { route, input, options } = args;
  const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const headers = await headersOf(target, "application/json, application/problem+json");
  const hasBody = route.body !== undefined;
  if (hasBody) headers["content-type"] = "application/json";
  const init: RequestInit = { ...NO_REDIRECT, method: route.method, headers, signal };
  if (hasBody) init.body = JSON.stringify(input.body ?? {});
  try {
    const response = await target.fetch(`${target.url}${pathOf(route, input)}`, init);
    return await readAnswer({ url: target.url, route, validate: options.validate ?? true }, response);
  } catch (failure) {
    if (isAbortOf(options.signal)) throw options.signal?.reason;
    if (timeout.aborted) throw new ConnectionFailure(target.url, { timedOut: true, cause: failure });
    // The fetch standard reports every network fault as a TypeError.
    if (failure instanceof TypeError)
      throw new ConnectionFailure(target.url, { timedOut: false, cause: failure });
    throw failure;
  }
}

/** Calls a route. After a temporary failure, a repeatable request is sent again. */
export async function callRoute(
  target: Target,
  args: { route: Route; input: LooseInput; options: CallOptions },
): Promise<unknown> {
  const options = { ...target.defaults, ...args.options };
  const retries = options.retries ?? DEFAULT_RETRIES;
  const { sealer } = target;
  // Sealed once, so that a repeated request is the same.
  const input = sealer === undefined ? args.input : await sealer.request(args.route, args.input);
  for (let repetition = 0; ; repetition++) {
    try {
      const value = await tryOnce(target, { route: args.route, input, options });
      return sealer === undefined ? value : await sealer.answer(args.route, { input, value });
    } catch (failure) {
      const ms = pauseMs(failure, repetition);
      const repeats = args.route.repeatable || wasRefusedUnread(failure);
      if (repetition >= retries || !repeats || !mayPass(failure) || ms === null) throw failure;
      await pause(ms, options.signal);
    }
  }
}
