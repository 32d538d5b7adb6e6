import { createGunzip } from "node:zlib";
import { type Extract, extract } from "tar-stream";
import { CodeError, systemCode } from "./code-error.ts";
import { type CodeLimits, RATIO_FLOOR_BYTES } from "./limits.ts";
import type { TreeWriter } from "./tree-writer.ts";

/**
 * Adds all entries of a tar stream to a tree, or only those below the folder `under`.
 * @throws CodeError `unsafe-archive` for an invalid tar, and for what the tree refuses; the signal's reason when
 * aborted.
 */
export async function readTar(
  tree: TreeWriter,
  args: { bytes: AsyncIterable<Uint8Array>; signal: AbortSignal; under?: string },
): Promise<void> {
  const parser = extract();
  const feeding = feed(parser, args);
  // Its failure also ends the loop below, which reports it.
  feeding.catch(() => {});
  try {
    for await (const entry of parser) {
      const name = nameUnder(args.under, entry.header.name);
      if (name === null) entry.resume();
      else await tree.add({ ...entry.header, name }, bytesOf(entry));
    }
    await feeding;
  } catch (error) {
    args.signal.throwIfAborted();
    throw asArchiveError(error);
  } finally {
    parser.destroy();
  }
}

/** An entry's name below a folder. Null: it is not in the folder. */
function nameUnder(folder: string | undefined, name: string): string | null {
  if (folder === undefined) return name;
  return name.startsWith(`${folder}/`) ? name.slice(folder.length + 1) || "." : null;
}

async function feed(
  parser: Extract,
  args: { bytes: AsyncIterable<Uint8Array>; signal: AbortSignal },
): Promise<void> {
  try {
    for await (const chunk of args.bytes) {
      args.signal.throwIfAborted();
      if (parser.destroyed) return;
      if (!parser.write(chunk)) await drained(parser);
    }
    parser.end(null);
  } catch (error) {
    parser.destroy(
      error instanceof Error ? error : new CodeError("unsafe-archive", "The archive is unreadable."),
    );
    throw error;
  }
}

async function* bytesOf(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) if (chunk instanceof Uint8Array) yield chunk;
}

async function drained(parser: Extract): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const proceed = () => resolve();
  parser.once("drain", proceed);
  parser.once("close", proceed);
  await promise;
  parser.off("drain", proceed);
  parser.off("close", proceed);
}

/**
 * Unpacks gzip, and refuses what grows beyond the ratio or the total.
 * @throws CodeError `too-large`; zlib's error for invalid gzip.
 */
export async function* gunzip(
  packed: NodeJS.ReadableStream,
  args: { packedBytes: number; limits: CodeLimits },
): AsyncGenerator<Uint8Array> {
  const unpacker = createGunzip();
  packed.on("error", (error) => unpacker.destroy(error));
  let bytes = 0;
  // Headers and padding come on top of the files: at most 1.5 KiB for each entry without a long name.
  const mostBytes = args.limits.totalBytes + args.limits.entries * (2_048 + 2 * args.limits.pathBytes);
  for await (const chunk of packed.pipe(unpacker)) {
    bytes += chunk.length;
    if (bytes > RATIO_FLOOR_BYTES && bytes > args.packedBytes * args.limits.compressionRatio) {
      throw new CodeError(
        "too-large",
        `The archive unpacks to more than ${args.limits.compressionRatio} times its size.`,
      );
    }
    if (bytes > mostBytes)
      throw new CodeError("too-large", `The archive unpacks to more than ${mostBytes} bytes.`);
    yield chunk;
  }
}

// Errors of the parser and of zlib belong to the archive. Those of the file system do not.
function asArchiveError(error: unknown): unknown {
  if (error instanceof CodeError || systemCode(error)) return error;
  return new CodeError("unsafe-archive", "The archive is damaged, or it is not a gzipped tar.", {
    cause: error,
  });
}
