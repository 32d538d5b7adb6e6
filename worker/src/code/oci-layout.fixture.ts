import { createHash, randomUUID } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Header, pack } from "tar-stream";

/** An entry of an archive for a test: a header, and the content of a file. */
export interface TestEntry extends Partial<Header> {
  readonly name: string;
  readonly content?: string | Uint8Array;
}

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const LAYER_TYPE = "application/vnd.towpath.code.v1.tar+gzip";

/** Writes a tar of these entries, without any check. */
export async function packTar(entries: readonly TestEntry[]): Promise<Buffer> {
  const writer = pack();
  for (const { content, ...header } of entries) {
    if (content === undefined) writer.entry({ type: "file", ...header }, "");
    else writer.entry({ type: "file", ...header }, content);
  }
  writer.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of writer) if (chunk instanceof Uint8Array) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** One 512-byte tar header with a correct checksum, for entries that no program would write. */
export function rawHeader(args: {
  name: Buffer | string;
  typeflag: string;
  size?: number;
  linkname?: string;
}): Buffer {
  const header = Buffer.alloc(512);
  Buffer.from(args.name).copy(header, 0, 0, 100);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${(args.size ?? 0).toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write(args.typeflag, 156);
  header.write(args.linkname ?? "", 157, 100);
  header.write("ustar\x0000", 257, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** An OCI image layout in a directory of its own. */
export class TestLayout {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  blobPath(digest: string): string {
    return join(this.dir, "blobs", "sha256", digest.replace("sha256:", ""));
  }

  async putBlob(bytes: Uint8Array): Promise<{ digest: string; size: number }> {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    await mkdir(join(this.dir, "blobs", "sha256"), { recursive: true });
    await writeFile(join(this.dir, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
    // By a rename, as `towpath deploy` does it: a reader of the same blob always reads it whole.
    const draft = `${this.blobPath(digest)}.${randomUUID()}`;
    await writeFile(draft, bytes);
    await rename(draft, this.blobPath(digest));
    return { digest, size: bytes.length };
  }

  async putManifest(manifest: unknown): Promise<string> {
    return (await this.putBlob(Buffer.from(JSON.stringify(manifest)))).digest;
  }

  /** Writes layers of gzipped bytes and their manifest. Returns the manifest's digest. */
  async putLayers(layers: readonly Uint8Array[], more: object = {}): Promise<string> {
    const descriptors: object[] = [];
    for (const layer of layers) descriptors.push({ mediaType: LAYER_TYPE, ...(await this.putBlob(layer)) });
    return await this.putManifest({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      layers: descriptors,
      ...more,
    });
  }

  /** Writes one layer with these entries. */
  async putCode(entries: readonly TestEntry[]): Promise<string> {
    return await this.putLayers([gzipSync(await packTar(entries))]);
  }
}
