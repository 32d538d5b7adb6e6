import { createHash } from "node:crypto";
import type { Context } from "@towpath/contract";
import { AwsClient } from "aws4fetch";
import { StoreFault } from "../problem.ts";
import type { ListedObject, Objects } from "./objects.ts";

/** How to reach a bucket: the worker's configuration says it. */
export type S3Access = NonNullable<Context["store"]["s3"]>;

/** The longest that one request may take, milliseconds. */
const REQUEST_MS = 120_000;
/** Retries of a request that got no answer. Retries that the server asks for are separate. */
const RETRIES = 3;
const RETRY_MS = 200;
const REMOVALS_AT_ONCE = 8;
const NOT_FOUND = 404;
const OK = [200, 204, 206];
const REFUSED = [401, 403];

interface Request {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** The bucket and prefix of `s3://bucket/prefix`. */
function locationOf(root: string): { bucket: string; prefix: string } {
  const [, bucket, prefix = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(root) ?? [];
  if (bucket === undefined)
    throw new StoreFault(`${root} is not a location in a bucket: write s3://bucket/prefix.`);
  return { bucket, prefix: prefix.replace(/^\/+|\/+$/g, "") };
}

function escaped(key: string): string {
  const strict = (part: string) =>
    encodeURIComponent(part).replace(
      /[!'()*]/g,
      (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  return key.split("/").map(strict).join("/");
}

/** With a custom endpoint, the bucket is in the path, which every server understands. At AWS it is in the host name. */
function baseOf(bucket: string, { endpoint, region }: S3Access): string {
  if (endpoint !== null) return `${endpoint.replace(/\/+$/, "")}/${bucket}`;
  return `https://${bucket}.s3.${region}.amazonaws.com`;
}

function isError(error: unknown): error is Error {
  return error instanceof Error;
}

function describeFailure(error: unknown): string {
  if (!isError(error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** The error in a server's answer. */
async function saidBy(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  const [, code] = /<Code>([\w.-]{1,100})<\/Code>/.exec(text) ?? [];
  return code === undefined ? `status ${response.status}` : `${code}, status ${response.status}`;
}

function textIn(xml: string, tag: string): string {
  return new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? "";
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescaped(xml: string): string {
  return xml.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{1,8}));/gi, (all, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? all;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal));
  });
}

/** The listing asks for URL-encoded keys, so that none contains markup. Not every server does this. */
function keyIn(entry: string, isUrl: boolean): string {
  const key = unescaped(textIn(entry, "Key"));
  return isUrl ? decodeURIComponent(key.replaceAll("+", " ")) : key;
}

/** Reads a body up to a number of bytes. */
async function readUpTo(response: Response, mostBytes: number, uri: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes) throw new StoreFault(`The value at ${uri} is not the saved one: it is larger.`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** Signed requests to one bucket, with retries. */
class Bucket {
  readonly #base: string;
  readonly #client: AwsClient;
  readonly #name: string;

  constructor(bucket: string, access: S3Access) {
    const { accessKeyId, secretAccessKey, sessionToken, region } = access;
    this.#name = bucket;
    this.#base = baseOf(bucket, access);
    this.#client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      region,
      service: "s3",
      retries: RETRIES,
      ...(sessionToken === null ? {} : { sessionToken }),
    });
  }

  async send(request: Request): Promise<Response> {
    const query = new URLSearchParams(request.query).toString();
    const url = `${this.#base}/${escaped(request.path)}${query === "" ? "" : `?${query}`}`;
    const response = await this.#through(url, request);
    if (OK.includes(response.status) || response.status === NOT_FOUND) return response;
    const said = await saidBy(response);
    throw new StoreFault(`The store refused ${request.method} in the bucket "${this.#name}": ${said}.`, {
      next: REFUSED.includes(response.status)
        ? "Check the credentials in the worker's configuration, and their permissions for that bucket."
        : "Check the store's log. Retry the run when the store answers again.",
    });
  }

  async #through(url: string, { method, body }: Request): Promise<Response> {
    const headers: Record<string, string> = {};
    if (body !== undefined) headers["x-amz-content-sha256"] = createHash("sha256").update(body).digest("hex");
    for (let tries = 1; ; tries++) {
      try {
        const init = { method, headers, signal: AbortSignal.timeout(REQUEST_MS) };
        return await this.#client.fetch(
          url,
          body === undefined ? init : { ...init, body: new Uint8Array(body) },
        );
      } catch (cause) {
        if (tries > RETRIES) {
          const next = "Check its endpoint in the worker's configuration, and the network.";
          throw new StoreFault(
            `The store of bucket "${this.#name}" does not answer: ${describeFailure(cause)}.`,
            {
              cause,
              next,
            },
          );
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * tries));
      }
    }
  }
}

/** The path of an object in the store. @throws StoreFault for an address outside of it. */
function pathIn(uriStart: string, uri: string): string {
  const path = uri.slice(uriStart.length);
  const isHere = uri.startsWith(uriStart) && !path.split("/").some((part) => part === "." || part === "..");
  if (!isHere) throw new StoreFault(`${uri} is outside of the store.`);
  return path;
}

/**
 * Objects in a bucket of a store that speaks S3.
 * @param root `s3://bucket/prefix`.
 */
export function s3Objects(root: string, access: S3Access): Objects {
  const { bucket: name, prefix } = locationOf(root);
  const bucket = new Bucket(name, access);
  const inside = prefix === "" ? "" : `${prefix}/`;
  const uriStart = `s3://${name}/${inside}`;
  return {
    async write(path, bytes) {
      const response = await bucket.send({ method: "PUT", path: inside + path, body: bytes });
      if (response.status === NOT_FOUND)
        throw new StoreFault(`There is no bucket "${name}".`, {
          next: "Create it, or correct store.root in the worker's configuration.",
        });
      return uriStart + path;
    },
    uriOf: (path) => uriStart + path,
    async read(uri, mostBytes) {
      const response = await bucket.send({ method: "GET", path: inside + pathIn(uriStart, uri) });
      if (response.status === NOT_FOUND) throw new StoreFault(`There is no value at ${uri}.`);
      return await readUpTo(response, mostBytes, uri);
    },
    async sizeOf(uri) {
      const response = await bucket.send({ method: "HEAD", path: inside + pathIn(uriStart, uri) });
      return response.status === NOT_FOUND
        ? null
        : Number(response.headers.get("content-length") ?? Number.NaN);
    },
    async *list(folder) {
      const within = folder === "" ? inside : `${inside}${folder}/`;
      for (let token: string | null = ""; token !== null; ) {
        const query: Record<string, string> = { "list-type": "2", "encoding-type": "url", prefix: within };
        if (token !== "") query["continuation-token"] = token;
        const xml: string = await (await bucket.send({ method: "GET", path: "", query })).text();
        const isUrl = textIn(xml, "EncodingType") === "url";
        for (const [entry] of xml.matchAll(/<Contents>.*?<\/Contents>/gs))
          yield listed(entry, { inside, isUrl });
        token = textIn(xml, "NextContinuationToken") || null;
      }
    },
    async remove(paths) {
      for (let at = 0; at < paths.length; at += REMOVALS_AT_ONCE)
        await Promise.all(
          paths
            .slice(at, at + REMOVALS_AT_ONCE)
            .map((path) => bucket.send({ method: "DELETE", path: inside + path })),
        );
    },
  };
}

function listed(entry: string, args: { inside: string; isUrl: boolean }): ListedObject {
  return {
    path: keyIn(entry, args.isUrl).slice(args.inside.length),
    sizeBytes: Number(textIn(entry, "Size")),
    modifiedAtMs: Date.parse(textIn(entry, "LastModified")),
  };
}
