import type { Route, RouteName } from "@towpath/contract";
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
