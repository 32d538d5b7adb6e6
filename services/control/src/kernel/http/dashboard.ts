import { readFile, stat } from "node:fs/promises";
import { extname, join, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Context, Hono } from "hono";

/** The media types of the dashboard's files. No other file is served. */
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

/** The names of these files contain a hash of their content. */
const HASHED = "/assets/";

const NOT_BUILT = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Towpath</title></head>
<body><h1>The control plane is running, but its dashboard is not built</h1>
<p>Run <code>npm run build</code> in the project's folder, then reload this page. Until then,
<code>towpath runs ls</code> lists runs, <code>towpath logs RUN -f</code> follows a run, and
<a href="/openapi.json">/openapi.json</a> describes the API.</p></body></html>`;

/**
 * The file of a request's path inside `root`. Null if the path names none. Encoded separators, NUL and parent folders
 * cannot leave `root`, because the resolved path is compared.
 */
export function fileOf(root: string, path: string): string | null {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return null;
  }
  if (decoded.includes("\0") || decoded.includes("\\")) return null;
  const file = resolve(join(root, decoded));
  return file.startsWith(resolve(root) + sep) ? file : null;
}

async function readIfFile(file: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) return null;
  return new Uint8Array(await readFile(file));
}

/** Text shrinks to a third. Pictures and fonts are compressed already. */
const COMPRESSED = /^(text\/|application\/json|image\/svg)/;
/** The most compressed files in the cache. A build has about fifty. */
const REMEMBERED_MAX = 500;

/** Reads files of a build for browsers. Hashed files are compressed once and cached. */
function buildFiles(root: string) {
  const compressed = new Map<string, Uint8Array<ArrayBuffer>>();
  return async (path: string, args: { gzip: boolean }) => {
    const known = args.gzip ? compressed.get(path) : undefined;
    if (known !== undefined) return { body: known, encoding: "gzip" };
    const file = fileOf(root, path);
    const body = file === null ? null : await readIfFile(file);
    if (body === null || !args.gzip) return body && { body, encoding: null };
    const small = new Uint8Array(await promisify(gzip)(body));
    if (compressed.size < REMEMBERED_MAX) compressed.set(path, small);
    return { body: small, encoding: "gzip" };
  };
}

async function page(c: Context, root: string): Promise<Response> {
  const index = await readIfFile(join(root, "index.html"));
  c.header("cache-control", "no-cache");
  return c.body(index ?? NOT_BUILT, index ? 200 : 503, { "content-type": "text/html; charset=utf-8" });
}

/**
 * Serves the built dashboard: its files, and its one page for every address of the application. Hashed files are
 * immutable, and compressed if the browser accepts it. Missing files are not found.
 */
export function dashboard(root: string) {
  const read = buildFiles(root);
  return (app: Hono): void => {
    app.get("*", async (c, next) => {
      const type = MEDIA_TYPES[extname(c.req.path)];
      if (type === undefined) {
        // A run's page has no extension. A request for another media type is not navigation.
        const accepts = c.req.header("accept") ?? "*/*";
        return /text\/html|\*\/\*/.test(accepts) ? page(c, root) : next();
      }
      const isHashed = c.req.path.startsWith(HASHED);
      const mayCompress = isHashed && COMPRESSED.test(type);
      const wantsGzip = /\bgzip\b/.test(c.req.header("accept-encoding") ?? "");
      const found = await read(c.req.path, { gzip: mayCompress && wantsGzip });
      if (found === null) return next();
      c.header("cache-control", isHashed ? "public, max-age=31536000, immutable" : "no-cache");
      if (mayCompress) c.header("vary", "accept-encoding");
      if (found.encoding !== null) c.header("content-encoding", found.encoding);
      return c.body(found.body, 200, { "content-type": type });
    });
  };
}
