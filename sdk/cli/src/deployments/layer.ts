import { constants, gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import type { CodeTree } from "./code-tree.ts";

/** The tenth byte of a gzip header names the operating system. 255 means unknown. */
const GZIP_SYSTEM_BYTE = 9;

/** The files as a tar archive without owners or times, so that the same tree gives the same bytes. */
async function tarOf(tree: CodeTree): Promise<Buffer> {
  const archive = pack();
  const chunks: Buffer[] = [];
  const written = (async () => {
    for await (const chunk of archive) chunks.push(chunk as Buffer);
  })();
  for (const { path, bytes, executable } of tree) {
    const mode = executable ? 0o755 : 0o644;
    const header = { name: path, size: bytes.length, mode, mtime: new Date(0), uid: 0, gid: 0 };
    await new Promise<void>((resolve, reject) => {
      archive.entry(header, Buffer.from(bytes), (failure) => (failure ? reject(failure) : resolve()));
    });
  }
  archive.finalize();
  await written;
  return Buffer.concat(chunks);
}

/** An image layer (`tar+gzip`) with the digest of the tar inside, the diff id. */
export async function layerOf(tree: CodeTree): Promise<Buffer> {
  const zipped = gzipSync(await tarOf(tree), { level: constants.Z_DEFAULT_COMPRESSION });
  zipped[GZIP_SYSTEM_BYTE] = 255;
  return zipped;
}
