import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { z } from "zod";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
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

/** Media types of the OCI image specification 1.1. */
export const OCI_MEDIA = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  empty: "application/vnd.oci.empty.v1+json",
  code: "application/vnd.towpath.code.v1",
} as const;

const REF_NAME = "org.opencontainers.image.ref.name";

/** The most manifests in the index. Older ones stay readable by digest. */
const INDEX_MAX = 500;

const Descriptor = z.looseObject({
  mediaType: z.string(),
  digest: z.string(),
  size: z.int(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const Index = z.looseObject({ schemaVersion: z.literal(2), manifests: z.array(Descriptor) });

/** An image in memory: its manifest's digest, and every blob by digest. */
export interface Image {
  readonly digest: string;
  readonly manifest: Buffer;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Creates the image of a code tree. The same tree gives the same digest. */
export async function imageOf(tree: CodeTree): Promise<Image> {
  const layer = await layerOf(tree);
  const config = Buffer.from("{}");
  const describe = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MEDIA.manifest,
      artifactType: OCI_MEDIA.code,
      config: describe(OCI_MEDIA.empty, config),
      layers: [describe(OCI_MEDIA.layer, layer)],
    }),
  );
  const blobs = new Map([layer, config, manifest].map((bytes) => [digestOf(bytes), bytes]));
  return { digest: digestOf(manifest), manifest, blobs };
}

/** @returns Whether it was not there. */
async function writeBlob(root: string, digest: string, bytes: Buffer): Promise<boolean> {
  const path = join(root, "blobs", ...digest.split(":"));
  const there = await stat(path).catch(() => null);
  if (there?.size === bytes.length) return false;
  await writeWhole(path, bytes);
  return true;
}

async function readIndex(root: string): Promise<z.output<typeof Index>> {
  const text = await readIfThere(join(root, "index.json"));
  const parsed = Index.safeParse(text === null ? null : JSON.parse(text));
  return parsed.success ? parsed.data : { schemaVersion: 2, mediaType: OCI_MEDIA.index, manifests: [] };
}

/** Moves the project's name to its newest manifest. Earlier ones stay listed without a name. */
async function nameInIndex(root: string, image: Image, project: string): Promise<void> {
  const index = await readIndex(root);
  const others = index.manifests
    .filter((one) => one.digest !== image.digest)
    .map(({ annotations, ...one }) =>
      annotations?.[REF_NAME] === project ? one : annotations ? { ...one, annotations } : one,
    );
  const newest = {
    mediaType: OCI_MEDIA.manifest,
    digest: image.digest,
    size: image.manifest.length,
    artifactType: OCI_MEDIA.code,
    annotations: { [REF_NAME]: project },
  };
  const manifests = [newest, ...others].slice(0, INDEX_MAX);
  await writeWhole(join(root, "index.json"), JSON.stringify({ ...index, manifests }, null, 2));
}

/**
 * Pushes code into an OCI image layout folder and creates the folder. Writes blobs before the index, and each file atomically,
 * so that a reader never finds a digest without its content.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
export async function pushToLayout(
  tree: CodeTree,
  to: { path: string; project: string },
): Promise<{ digest: string; isNew: boolean }> {
  const image = await imageOf(tree);
  let isNew = false;
  for (const [digest, bytes] of image.blobs) isNew = (await writeBlob(to.path, digest, bytes)) || isNew;
  await writeWhole(join(to.path, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await nameInIndex(to.path, image, to.project);
  return { digest: image.digest, isNew };
}
