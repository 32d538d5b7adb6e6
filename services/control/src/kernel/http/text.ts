import type { Context } from "hono";
import type { TextFile } from "./handle.ts";

/**
 * Answers with a text file, one part at a time as the reader takes them. A failure breaks the connection, so that
 * nobody mistakes half a file for a whole one.
 */
export function textAnswer(c: Context, { name, parts }: TextFile): Response {
  const encoder = new TextEncoder();
  const iterator = parts[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await iterator.next();
        if (next.done === true) controller.close();
        else controller.enqueue(encoder.encode(next.value));
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 1 },
  );
  return c.body(body, 200, {
    "content-type": "text/plain; charset=utf-8",
    "content-disposition": `attachment; filename="${name}"`,
  });
}
