import type { Context } from "hono";

/** What is beneath a request: node's own when a server listens, nothing when tests call the application directly. */
type Beneath =
  | {
      readonly incoming?: {
        readonly headers: Readonly<Record<string, string | string[] | undefined>>;
        readonly socket: { readonly remoteAddress?: string; destroy(): void };
      };
    }
  | undefined;

/**
 * A header of a request, by its name in small letters. From node's own list of them where there is one: to look at any
 * of the request's makes an object of all.
 */
export function headerOf(c: Context, name: string): string | undefined {
  const beneath: Beneath = c.env;
  const found = beneath?.incoming?.headers[name];
  return typeof found === "string" ? found : c.req.header(name);
}

/** The address at the other end of a request's connection. */
export function remoteAddressOf(c: Context): string | undefined {
  const beneath: Beneath = c.env;
  return beneath?.incoming?.socket.remoteAddress;
}

/** Ends a connection without an answer, as a network does. */
export function cutConnection(c: Context): void {
  const beneath: Beneath = c.env;
  beneath?.incoming?.socket.destroy();
}
