import type { Context } from "hono";

/** Node's objects of a request. Absent when tests call the application directly. */
type NodeRequest =
  | {
      readonly incoming?: {
        readonly headers: Readonly<Record<string, string | string[] | undefined>>;
        readonly socket: { readonly remoteAddress?: string; destroy(): void };
      };
    }
  | undefined;

/**
 * A header of a request by its lower-case name. Node's own list is read if there is one, because the framework converts
 * all headers at once.
 */
export function headerOf(c: Context, name: string): string | undefined {
  const beneath: NodeRequest = c.env;
  const found = beneath?.incoming?.headers[name];
  return typeof found === "string" ? found : c.req.header(name);
}

/** The remote address of a request's connection. */
export function remoteAddressOf(c: Context): string | undefined {
  const beneath: NodeRequest = c.env;
  return beneath?.incoming?.socket.remoteAddress;
}

/** Closes a connection without an answer, as a network failure does. */
export function cutConnection(c: Context): void {
  const beneath: NodeRequest = c.env;
  beneath?.incoming?.socket.destroy();
}
