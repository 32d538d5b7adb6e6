import { isSealed, type Route, type RouteName } from "@towpath/contract";
import type { LooseInput } from "../loose-input.ts";

/** The keys of a sealed workspace. With them the client seals what it sends and opens what it gets. */
export interface SealingOptions {
  /**
   * Texts of workspace keys: the first one seals, all of them open. Empty: sealed values are shown as such. A function is
   * called before each request with a body, and its first keys open answers.
   */
  readonly keys: readonly string[] | (() => Promise<readonly string[]>);
  /** The next step that a notice names if there is no key. @default the CLI's */
  readonly withoutKey?: string;
  /** The workspace's id. @default asked from the control plane, once */
  readonly workspace?: string;
}

/** Calls a route without sealing. */
export type PlainCall = (name: RouteName, input: LooseInput) => Promise<unknown>;

/** Seals requests and opens answers. */
export interface Sealer {
  request(route: Route, input: LooseInput): Promise<LooseInput>;
  answer<Value>(route: Route, args: { input: LooseInput; value: Value }): Promise<Value>;
}

/** What stands for a value that cannot be opened here. */
export function sealedNotice(why: string): string {
  return `[sealed: ${why}]`;
}

/** The most nested parts of an answer in which sealed values are looked for. */
const DEPTH_MAX = 64;

/** Whether a sealed value stands anywhere in an answer. Cheaper than to walk its schema. */
function holdsSealed(value: unknown, depth = 0): boolean {
  if (isSealed(value)) return true;
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return false;
  return Object.values(value).some((part) => holdsSealed(part, depth + 1));
}

/** A sealer whose code is loaded when something must be sealed or opened: most workspaces need none of it. */
export function sealerOf(options: SealingOptions, call: PlainCall): Sealer {
  let loading: Promise<Sealer> | undefined;
  const load = () => {
    loading ??= import("./sealer.ts").then(({ createSealer }) => createSealer(options, call));
    loading.catch(() => {
      loading = undefined;
    });
    return loading;
  };
  return {
    async request(route, input) {
      if (route.body === undefined) return input;
      const keys = typeof options.keys === "function" ? await options.keys() : options.keys;
      if (keys.length === 0) return input;
      return await (await load()).request(route, input);
    },
    async answer(route, args) {
      return holdsSealed(args.value) ? await (await load()).answer(route, args) : args.value;
    },
  };
}
