import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { CodeError, systemCode } from "./code-error.ts";
import type { FetchTarget } from "./fetch-target.ts";
import type { CodeLimits } from "./limits.ts";
import { type Layer, type Manifest, parseManifest } from "./oci-manifest.ts";
import { TreeWriter } from "./tree-writer.ts";
import { unpackArchive } from "./unpack.ts";

/*
 * OCI image layout: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * Only `blobs/sha256` is read. `index.json` can be changed without changing a digest, so it is not consulted.
 */

const CHUNK_BYTES = 256 * 1024;
const OWNER_ONLY = 0o600;

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
  const tree = new TreeWriter(target.treeDir, target.limits);
  for (const layer of manifest.layers) await addLayer(tree, { layer, target, layoutDir: args.layoutDir });
  await tree.finish();
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

async function addLayer(
  tree: TreeWriter,
  args: { layer: Layer; target: FetchTarget; layoutDir: string },
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
  await unpackArchive(tree, { path: copyPath, packedBytes: layer.size, target });
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
