import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CodeError, systemCode } from "./code-error.ts";
import type { CodeLimits } from "./limits.ts";
import { gunzip, readTar } from "./read-archive.ts";
import { TreeWriter } from "./tree-writer.ts";

/*
 * OCI image layout: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * Only `blobs/sha256` is read. `index.json` can be changed without changing a digest, so it is not consulted.
 */

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const LAYER_TYPES = [
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.towpath.code.v1.tar+gzip",
] as const;
const CHUNK_BYTES = 256 * 1024;
const OWNER_ONLY = 0o600;

/** Where fetching writes, and how long it may take. */
export interface FetchTarget {
  /** An empty directory for the tree. */
  readonly treeDir: string;
  /** An empty directory for temporary files. The caller removes it. */
  readonly scratchDir: string;
  readonly limits: CodeLimits;
  readonly signal: AbortSignal;
}

/**
 * Writes the tree of the OCI manifest with this digest. Size and digest of each blob are checked before it is
 * used: the manifest before it is parsed, a layer, from a copy, before it is unpacked.
 * @throws CodeError.
 */
export async function fetchFromLayout(
  target: FetchTarget,
  args: { layoutDir: string; hex: string },
): Promise<void> {
  const manifest = await readManifest(args, target.limits);
  const packedBytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  if (packedBytes > target.limits.packedBytes) {
    throw new CodeError("too-large", `The code's layers are larger than ${target.limits.packedBytes} bytes.`);
  }
  const tree = new TreeWriter(target.treeDir, target.limits);
  for (const layer of manifest.layers) await addLayer(tree, { layer, target, layoutDir: args.layoutDir });
  await tree.finish();
}

type Manifest = z.infer<ReturnType<typeof manifestSchema>>;

function manifestSchema(limits: CodeLimits) {
  const layer = z.object({
    mediaType: z.enum(LAYER_TYPES),
    digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    size: z.int().positive(),
  });
  return z.object({
    schemaVersion: z.literal(2),
    mediaType: z.literal(MANIFEST_TYPE),
    layers: z.array(layer).min(1).max(limits.layers),
  });
}

async function readManifest(args: { layoutDir: string; hex: string }, limits: CodeLimits): Promise<Manifest> {
  const handle = await openBlob(args);
  try {
    const { size } = await handle.stat();
    if (size > limits.manifestBytes) {
      throw new CodeError("too-large", `The code's manifest is larger than ${limits.manifestBytes} bytes.`);
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, 0);
    const bytes = buffer.subarray(0, bytesRead);
    if (createHash("sha256").update(bytes).digest("hex") !== args.hex) throw mismatch(args.hex);
    return parseManifest(bytes, limits);
  } finally {
    await handle.close();
  }
}

function parseManifest(bytes: Buffer, limits: CodeLimits): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new CodeError("bad-manifest", "The code's manifest is not JSON.", { cause });
  }
  const parsed = manifestSchema(limits).safeParse(value);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join(".") || "itself";
  throw new CodeError("bad-manifest", `The code's manifest has an unexpected ${field}.`, {
    cause: parsed.error,
  });
}

async function addLayer(
  tree: TreeWriter,
  args: { layer: Manifest["layers"][number]; target: FetchTarget; layoutDir: string },
): Promise<void> {
  const { layer, target } = args;
  const hex = layer.digest.slice("sha256:".length);
  const copyPath = join(target.scratchDir, hex);
  const blob = await openBlob({ layoutDir: args.layoutDir, hex });
  try {
    await copyChecked(blob, { copyPath, hex, sizeBytes: layer.size, signal: target.signal });
  } finally {
    await blob.close();
  }
  const copy = await open(copyPath, "r");
  try {
    const packed = copy.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false });
    const bytes = gunzip(packed, { packedBytes: layer.size, limits: target.limits });
    await readTar(tree, { bytes, signal: target.signal });
  } finally {
    await copy.close();
  }
  await rm(copyPath);
}

async function copyChecked(
  blob: FileHandle,
  args: { copyPath: string; hex: string; sizeBytes: number; signal: AbortSignal },
): Promise<void> {
  const { size } = await blob.stat();
  if (size !== args.sizeBytes) throw mismatch(args.hex);
  const hash = createHash("sha256");
  const copy = await open(args.copyPath, "wx", OWNER_ONLY);
  try {
    // One byte more than announced shows that the blob is still growing.
    for (let at = 0; at <= args.sizeBytes; ) {
      args.signal.throwIfAborted();
      const { buffer, bytesRead } = await blob.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, at);
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      await copy.appendFile(chunk);
      at += bytesRead;
    }
  } finally {
    await copy.close();
  }
  if (hash.digest("hex") !== args.hex) throw mismatch(args.hex);
}

async function openBlob(args: { layoutDir: string; hex: string }): Promise<FileHandle> {
  const path = join(args.layoutDir, "blobs", "sha256", args.hex);
  try {
    // Without O_NONBLOCK, a fifo in place of a blob would block the open forever.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    throw await asLayoutError(error, args);
  }
  throw new CodeError("bad-manifest", `The blob sha256:${args.hex} is not a regular file.`);
}

async function asLayoutError(error: unknown, args: { layoutDir: string; hex: string }): Promise<unknown> {
  const code = systemCode(error);
  if (code === "EACCES" || code === "EPERM") {
    return new CodeError("no-permission", "The worker's user may not read the OCI layout.", {
      output: args.layoutDir,
      cause: error,
    });
  }
  if (code === "ENOENT" && (await isThere(args.layoutDir))) {
    return new CodeError("not-found", `The OCI layout has no blob sha256:${args.hex}.`, {
      output: args.layoutDir,
      cause: error,
    });
  }
  if (code === undefined) return error;
  return new CodeError("registry-unreachable", "The OCI layout cannot be read.", {
    output: args.layoutDir,
    cause: error,
  });
}

async function isThere(dir: string): Promise<boolean> {
  try {
    return (await stat(dir)).isDirectory();
  } catch {
    return false;
  }
}

function mismatch(hex: string): CodeError {
  return new CodeError("digest-mismatch", `The content of blob sha256:${hex} does not match its digest.`);
}
