import type { Context } from "@towpath/contract";
import { AwsClient } from "aws4fetch";

/** The access to a bucket. */
export type BucketAccess = NonNullable<Context["store"]["s3"]>;

/** Which object, and how much of it. */
export interface ObjectAsk {
  /** Its path below the prefix. Each part is safe in a URL. */
  readonly path: string;
  /** The largest content, bytes. */
  readonly mostBytes: number;
  /** The time limit of one request, milliseconds. */
  readonly timeoutMs: number;
}

/** One object in a bucket. */
export interface BucketObject {
  /** Its text; null if there is none. @throws ObjectTooLarge, or an error when the bucket cannot be read now. */
  read(): Promise<string | null>;
  /** Writes it. @throws when the bucket does not take it. */
  write(text: string): Promise<void>;
  /** Writes it if there is none. Of several writers, the first wins if the server knows `If-None-Match`, else the last. */
  writeOnce(text: string): Promise<void>;
}

/** An object is larger than what was asked for. */
export class ObjectTooLarge extends Error {
  override readonly name = "ObjectTooLarge";
}

const NOT_FOUND = 404;

function bucketUrl(root: string, { endpoint, region }: BucketAccess, path: string): string {
  const [, bucket = "", prefix = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(root) ?? [];
  const base = endpoint
    ? `${endpoint.replace(/\/+$/, "")}/${bucket}`
    : `https://${bucket}.s3.${region}.amazonaws.com`;
  const parts = prefix.split("/").filter((part) => part !== "");
  return [base, ...parts.map(encodeURIComponent), path].join("/");
}

async function textUpTo(response: Response, mostBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes) throw new ObjectTooLarge(`The object is larger than ${mostBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** One object of a store in a bucket. */
export function bucketObject(root: string, s3: BucketAccess, ask: ObjectAsk): BucketObject {
  const { accessKeyId, secretAccessKey, sessionToken, region } = s3;
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    region,
    service: "s3",
    retries: 1,
    ...(sessionToken === null ? {} : { sessionToken }),
  });
  const url = bucketUrl(root, s3, ask.path);
  const put = async (text: string, headers: Record<string, string>) => {
    const signal = AbortSignal.timeout(ask.timeoutMs);
    const written = await client.fetch(url, { method: "PUT", body: text, signal, headers });
    await written.body?.cancel();
    return written;
  };
  return {
    async read() {
      const answer = await client.fetch(url, { signal: AbortSignal.timeout(ask.timeoutMs) });
      if (answer.ok) return await textUpTo(answer, ask.mostBytes);
      await answer.body?.cancel();
      if (answer.status === NOT_FOUND) return null;
      throw new Error(`The bucket answered with status ${answer.status}.`);
    },
    async write(text) {
      const { ok, status } = await put(text, {});
      if (!ok) throw new Error(`The bucket answered with status ${status}.`);
    },
    async writeOnce(text) {
      await put(text, { "if-none-match": "*" });
    },
  };
}
