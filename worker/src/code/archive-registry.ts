import { join } from "node:path";
import { type Archives, openHttpArchives, openS3Archives } from "@towpath/contract/registries";
import type { CodeSource } from "./code-request.ts";
import { download, fromRegistry } from "./download.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { TreeWriter } from "./tree-writer.ts";
import { unpackArchive } from "./unpack.ts";

/** Archives in a bucket, or on a web server, as configured. */
export type ArchiveSource = Extract<CodeSource, { kind: "s3" | "archive" }>;

/**
 * Writes the tree of the archive with this SHA-256. The digest is checked before the archive is unpacked.
 * @throws CodeError.
 */
export async function fetchArchive(
  target: FetchTarget,
  args: { source: ArchiveSource; hex: string; environment: Readonly<Record<string, string | undefined>> },
): Promise<void> {
  const { source, hex, environment } = args;
  const { limits, signal } = target;
  await fromRegistry(async () => {
    await using archives = openArchives(source, { environment, signal });
    const path = join(target.scratchDir, hex);
    const expected = { algorithm: "sha256", hex, mostBytes: limits.packedBytes } as const;
    const packedBytes = await download(await archives.open(hex), { path, expected });
    const tree = new TreeWriter(target.treeDir, limits);
    await unpackArchive(tree, { path, packedBytes, target });
    await tree.finish();
  });
}

function openArchives(source: ArchiveSource, ground: Parameters<typeof openHttpArchives>[1]): Archives {
  return source.kind === "s3" ? openS3Archives(source, ground) : openHttpArchives(source, ground);
}
