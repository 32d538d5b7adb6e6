import { type AnswerOf, ROUTES, type Route, type RouteName, type ROUTES as Routes } from "@towpath/contract";
import type { LooseInput } from "./loose-input.ts";
import { type CallOptions, callRoute, type InputOf, type Target } from "./request.ts";
import type { SealingOptions } from "./sealing/options.ts";
import { sealerOf } from "./sealing/when-needed.ts";
import { type StreamOptions, streamRoute } from "./stream.ts";

type Table = typeof Routes;
type Arguments<Input, Options> =
  Record<never, never> extends Input ? [input?: Input, options?: Options] : [input: Input, options?: Options];

type Method<R extends Route> = R extends { readonly stream: true }
  ? (
      ...args: Arguments<InputOf<R>, StreamOptions>
    ) => AsyncGenerator<AnswerOf<R> & { readonly id: string }, void, undefined>
  : (...args: Arguments<InputOf<R>, CallOptions>) => Promise<AnswerOf<R>>;

/**
 * One method per route of the contract's table: `client.getRun({ params: { runId } }, { signal })`.
 * Every method throws `Problem`, `ConnectionFailure` or `UnexpectedAnswer`, or the reason of an aborted signal.
 */
export type Client = { readonly [Name in RouteName]: Method<Table[Name]> };

/** Where the control plane is and who is calling. */
export interface ClientOptions extends Pick<CallOptions, "timeoutMs" | "retries" | "validate"> {
  /** Address of the control plane, such as `http://127.0.0.1:4200`. Empty in a browser: the page's own origin. */
  readonly url: string;
  /** A key or session token, or a function that returns the current one. Omitted if the browser sends a cookie. */
  readonly token?: string | (() => string | Promise<string>);
  /** @default the global `fetch` */
  readonly fetch?: typeof globalThis.fetch;
  /** The keys of a sealed workspace. Missing: sealed values are passed on as they are. */
  readonly sealing?: SealingOptions;
}

/** Makes the typed client of one control plane. Opens nothing until the first call. */
export function createClient(options: ClientOptions): Client {
  const { token, timeoutMs, retries, validate } = options;
  const plain: Target = {
    url: options.url.replace(/\/+$/, ""),
    fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
    token: async () => (typeof token === "function" ? token() : token),
    defaults: {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(retries === undefined ? {} : { retries }),
      ...(validate === undefined ? {} : { validate }),
    },
  };
  const { sealing } = options;
  const target: Target =
    sealing === undefined
      ? plain
      : {
          ...plain,
          sealer: sealerOf(sealing, (name, input) =>
            callRoute(plain, { route: ROUTES[name], input, options: {} }),
          ),
        };
  return fromTable((route) =>
    route.stream === true
      ? (input: LooseInput = {}, stream: StreamOptions = {}) =>
          streamRoute(target, { route, input, options: { ...withValidate(target), ...stream } })
      : (input: LooseInput = {}, call: CallOptions = {}) =>
          callRoute(target, { route, input, options: call }),
  );
}

function withValidate(target: Target): StreamOptions {
  return target.defaults.validate === undefined ? {} : { validate: target.defaults.validate };
}

/** Builds the client with one method for each row. The mapped type `Client` describes the same rule. */
function fromTable(methodOf: (route: Route) => unknown): Client {
  const rows = Object.entries(ROUTES) as [RouteName, Route][];
  return Object.fromEntries(rows.map(([name, route]) => [name, methodOf(route)])) as Client;
}
