import { open, rm } from "node:fs/promises";
import type { FetchTarget } from "./fetch-target.ts";
import { gunzip, readTar } from "./read-archive.ts";
import type { TreeWriter } from "./tree-writer.ts";

const CHUNK_BYTES = 256 * 1024;

/**
 * Adds the content of a gzipped tar archive to a tree and removes the archive. Its digest has been checked.
 * @throws CodeError `unsafe-archive` or `too-large`; the signal's reason when aborted.
 */
export async function unpackArchive(
  tree: TreeWriter,
  args: {
    path: string;
    packedBytes: number;
    target: Pick<FetchTarget, "limits" | "signal">;
    /** The only folder of the archive that is unpacked. @default all of it */
    under?: string;
  },
): Promise<void> {
  const { limits, signal } = args.target;
  const archive = await open(args.path, "r");
  try {
    const packed = archive.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false });
    const bytes = gunzip(packed, { packedBytes: args.packedBytes, limits });
    await readTar(tree, { bytes, signal, ...(args.under !== undefined && { under: args.under }) });
  } finally {
    await archive.close();
  }
  await rm(args.path);
}
