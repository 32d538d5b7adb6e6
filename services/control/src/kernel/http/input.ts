import { closest, type Fault, LIMITS, Problem, type Route } from "@towpath/contract";
import type { Context } from "hono";
import { z } from "zod";
import { CONTAINERS_MAX, hasTooManyContainers, shapeFault, textFault } from "./json-text.ts";
import { headerOf } from "./node-request.ts";

/** The most faults in one answer. */
const FAULTS_MAX = 20;
/** The longest field name that a fault repeats, characters. */
const NAME_CHARS_MAX = 100;

/** The parsed input of a request. */
export interface Input {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

/** When a client may retry after its body was too slow, milliseconds. */
const SLOW_RETRY_MS = 1_000;

/** The next step for a value that is too large. */
const STORE_IT = "keep large values in your store, and pass a ref";

function tooLarge(limit: number): Problem {
  const faults = [{ path: "body", message: `may have at most ${limit} bytes`, suggestion: STORE_IT }];
  return new Problem("payload-too-large", `The body may have at most ${limit} bytes; ${STORE_IT}.`, {
    faults,
  });
}

function tooManyContainers(): Problem {
  const message = `may hold at most ${CONTAINERS_MAX} objects and arrays`;
  const faults = [{ path: "body", message, suggestion: "send less in one request" }];
  return new Problem("payload-too-large", `The body ${message}; send less in one request.`, { faults });
}

async function readCapped(stream: ReadableStream<Uint8Array>, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Waits for a body until a time limit. The rest of a slow body is not read: its connection closes after the answer. */
async function inTime<T>(c: Context, readMs: number, reading: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    c.set("headers", { ...c.get("headers"), connection: "close" });
    const detail = `The body did not arrive within ${Math.round(readMs / 1000)} s. Send a smaller one.`;
    reject(new Problem("too-many-requests", detail, { retryAfterMs: SLOW_RETRY_MS }));
  }, readMs);
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads a body. A client that leaves, or is cut off, in the middle of its body is not our failure. `body` converts the
 * request into a slow web stream, so it is used only without a content length.
 */
async function readText(c: Context, limit: number): Promise<string> {
  try {
    if (headerOf(c, "content-length") !== undefined) return await c.req.text();
    const stream = c.req.raw.body;
    return stream === null ? "" : await readCapped(stream, limit);
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem("bad-request", "The body ended before it was complete.", { cause });
  }
}

async function readBody(c: Context, limit: number, readMs: number | null): Promise<unknown> {
  const media = (headerOf(c, "content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (media !== "application/json" && !/^application\/[\w.+-]+\+json$/.test(media))
    throw new Problem("unsupported-media-type", "Send JSON with `content-type: application/json`.");
  const announced = headerOf(c, "content-length");
  if (announced !== undefined && Number(announced) > limit) throw tooLarge(limit);
  const reading = readText(c, limit);
  const text = await (readMs === null ? reading : inTime(c, readMs, reading));
  if (hasTooManyContainers(text)) throw tooManyContainers();
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem("bad-request", "The body is not JSON.", {
      faults: [
        { path: "body", message: "is not a JSON document", suggestion: "send an object between { and }" },
      ],
    });
  }
}

function short(name: string): string {
  return name.length <= NAME_CHARS_MAX ? name : `${name.slice(0, NAME_CHARS_MAX)}…`;
}

function unknownFields(schema: z.ZodType, issue: { path: PropertyKey[]; keys: string[] }): Fault[] {
  const known = issue.path.length === 0 && schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  return issue.keys.slice(0, FAULTS_MAX).map((key) => {
    const near = closest(short(key), known);
    return {
      path: short([...issue.path.map(String), key].join(".")),
      message: "is not a field of this request",
      ...(near === null ? {} : { suggestion: `did you mean "${near}"?` }),
    };
  });
}

/** Describes the faults of an input by field, never by value. */
export function faultsOf(schema: z.ZodType, error: z.ZodError, whole: string): Fault[] {
  return error.issues.slice(0, FAULTS_MAX).flatMap((issue): Fault[] => {
    if (issue.code === "unrecognized_keys") return unknownFields(schema, issue);
    const path = issue.path.length === 0 ? whole : short(issue.path.map(String).join("."));
    return [{ path, message: issue.message }];
  });
}

function parsePart(schema: z.ZodType | undefined, value: unknown, whole: string): [unknown, Fault[]] {
  if (schema === undefined) return [undefined, []];
  const parsed = schema.safeParse(value);
  return parsed.success ? [parsed.data, []] : [undefined, faultsOf(schema, parsed.error, whole)];
}

const strictQueries = new WeakMap<z.ZodType, z.ZodType>();

/** The schema of a query that refuses unknown fields. A mistyped filter would otherwise match everything. */
function strictQuery(schema: z.ZodType | undefined): z.ZodType | undefined {
  if (!(schema instanceof z.ZodObject)) return schema;
  const strict = strictQueries.get(schema) ?? schema.strict();
  strictQueries.set(schema, strict);
  return strict;
}

function refusal(faults: readonly Fault[]): Problem {
  const fields = [...new Set(faults.map((fault) => fault.path))].slice(0, 5).join(", ");
  return new Problem("bad-request", `Correct these fields: ${fields}.`, {
    faults: faults.slice(0, FAULTS_MAX),
  });
}

/** The parsed address of a request, or its faults. */
interface Address extends Omit<Input, "body"> {
  readonly faults: readonly Fault[];
}

/** Parses the path and query of a request. Their faults are reported together with those of the body. */
export function readAddress(c: Context, route: Route): Address {
  const [path, queried] = [c.req.param(), c.req.query()];
  const unstorable = textFault(path) ?? textFault(queried);
  if (unstorable !== null) throw refusal([unstorable]);
  const [params, paramFaults] = parsePart(route.params, path, "path");
  const [query, queryFaults] = parsePart(strictQuery(route.query), queried, "query");
  const faults = [...paramFaults, ...queryFaults];
  // A caller of a public route is admitted by its address, so the address must be valid.
  if (faults.length > 0 && route.permission === "public") throw refusal(faults);
  return { params, query, faults };
}

/**
 * Parses the body of an admitted request, and reports all faults of the request together. Records of workers may
 * contain any text, and are checked one by one when they are stored.
 * @param address.readMs How long the body may take to arrive. Null: as long as the connection may.
 * @throws Problem `bad-request`, `payload-too-large`, `unsupported-media-type`, or `too-many-requests` for a slow body.
 */
export async function readInput(
  c: Context,
  route: Route,
  address: Address & { readonly readMs: number | null },
): Promise<Input> {
  const limit = route.bodyBytes ?? LIMITS.bodyBytes;
  const raw = route.body === undefined ? undefined : await readBody(c, limit, address.readMs);
  const unusable = route.permission === "worker" ? shapeFault(raw) : textFault(raw);
  if (unusable !== null)
    throw new Problem("bad-request", "The body cannot be stored.", { faults: [unusable] });
  const [body, bodyFaults] = parsePart(route.body, raw, "body");
  const faults = [...address.faults, ...bodyFaults];
  if (faults.length > 0) throw refusal(faults);
  return { params: address.params, query: address.query, body };
}
