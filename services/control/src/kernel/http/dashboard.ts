import { readFile, stat } from "node:fs/promises";
import { extname, join, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Context, Hono } from "hono";

/** The media types of what a build of the dashboard holds; any other file is not served. */
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

/** Files here carry a hash of their content in their names. */
const HASHED = "/assets/";

const NOT_BUILT = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Towpath</title></head>
<body><h1>The control plane is up; its dashboard is not built</h1>
<p>Build it with <code>npm run build</code> in the project's folder, then reload. Until then:
<code>towpath runs ls</code> lists runs, <code>towpath logs RUN -f</code> follows one, and
<a href="/openapi.json">/openapi.json</a> describes the API.</p></body></html>`;

/**
 * The file that a request's path names inside `root`, or null when it names none. Encoded separators, NUL and parents
 * do not leave the folder: the resolved path is compared, not the text.
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

/** What becomes a third of its size; pictures and fonts are small already. */
const COMPRESSED = /^(text\/|application\/json|image\/svg)/;
/** The most files that are remembered compressed: a build has some fifty. */
const REMEMBERED_MAX = 500;

/** Files of a build as browsers want them: hashed ones are compressed once, and remembered. */
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
 * Serves the built dashboard: its files, and its one page for every address that a person may open. Hashed files are
 * immutable, and travel compressed where that is asked for. Addresses of files that are not there stay unknown.
 */
export function dashboard(root: string) {
  const read = buildFiles(root);
  return (app: Hono): void => {
    app.get("*", async (c, next) => {
      const type = MEDIA_TYPES[extname(c.req.path)];
      if (type === undefined) {
        // A run's page has no extension; what asks for another sort of thing is not a person.
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
