import type { Context } from "hono";
import type { Config } from "../config.ts";

/** Scripts only from our own files; images also inline, as in artifacts; no other page may frame ours. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

/** Headers by name. */
export type Headers = Readonly<Record<string, string>>;

/** The security headers of every answer. Strict-Transport-Security only if the public address is https. */
export function securityHeaders(config: Pick<Config, "publicUrl">): Headers {
  const overTls = config.publicUrl?.startsWith("https:") ?? false;
  return {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    ...(overTls ? { "strict-transport-security": "max-age=31536000" } : {}),
  };
}

/** Sets headers of the next answer. Setting them on a finished answer would copy it. */
export function setHeaders(c: Context, headers: Headers): void {
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
}
