import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";

/** A body: text, or a template in which one piece is repeated many times. */
const Body = z.union([
  z.string(),
  z.strictObject({ before: z.string(), repeat: z.string(), times: z.int(), after: z.string() }),
]);

const VectorRequest = z.strictObject({
  head: z.array(z.string()).min(2),
  body: Body.optional(),
});

const Step = z.union([
  z.strictObject({
    request: VectorRequest,
    answer: z.strictObject({ status: z.int(), body: z.json() }),
  }),
  z.strictObject({ cancel: z.string() }),
]);

const VectorFile = z.strictObject({ title: z.string(), exchanges: z.array(Step).min(1) });

/** Requests and their expected answers, for an attempt that has sent nothing yet. */
export type Vector = z.infer<typeof VectorFile> & { readonly file: string };
/** One request of a vector. */
export type VectorRequest = z.infer<typeof VectorRequest>;

/** Stands for any value in an answer: prose, and values that differ between machines. */
export const ANYTHING = "…";

/** The attempt in the vectors. */
export const VECTOR_ATTEMPT = {
  token: "the-attempts-token",
  runId: "01900000-0000-7000-8000-000000000001",
  attemptId: "01900000-0000-7000-8000-000000000002",
  workspaceId: "01900000-0000-7000-8000-000000000003",
  deployment: "example",
  parameters: { island: "Dream" },
  secrets: { "warehouse-password": "correct horse" },
  mayStart: ["child"],
  cancelReason: "enough of it",
} as const;

/** Every vector, in the order of the file names. */
export function readVectors(): Vector[] {
  const folder = new URL("./vectors/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.sort().map((file) => {
    const read: unknown = JSON.parse(readFileSync(new URL(file, folder), "utf8"));
    return { file, ...VectorFile.parse(read) };
  });
}

/** A request's bytes on the socket. */
export function requestBytes(request: VectorRequest): Buffer {
  return Buffer.from(`${request.head.join("\r\n")}\r\n\r\n${bodyText(request)}`, "utf8");
}

function bodyText({ body }: VectorRequest): string {
  if (body === undefined || typeof body === "string") return body ?? "";
  return body.before + body.repeat.repeat(body.times) + body.after;
}

const ENGINE_VECTORS = new URL("./vectors/engine/", import.meta.url);

/** A file of test vectors for engines in any language. Each has a title. */
export function engineVectors<Shape extends z.ZodRawShape>(file: string, shape: Shape) {
  const text = readFileSync(new URL(`${file}.json`, ENGINE_VECTORS), "utf8");
  return z.strictObject({ title: z.string(), ...shape }).parse(JSON.parse(text));
}

/** The names of all files of test vectors for engines. */
export function engineVectorFiles(): string[] {
  return readdirSync(ENGINE_VECTORS)
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length))
    .sort();
}
