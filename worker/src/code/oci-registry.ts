import { join } from "node:path";
import { type OciRepository, openOciRepository } from "@towpath/contract/registries";
import type { CodeSource } from "./code-request.ts";
import { download, fromRegistry } from "./download.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { type Layer, parseManifest } from "./oci-manifest.ts";
import { TreeWriter } from "./tree-writer.ts";
import { unpackArchive } from "./unpack.ts";

/** An OCI repository as configured, with its password. */
export type OciSource = Extract<CodeSource, { kind: "oci" }>;

/**
 * Writes the tree of the manifest with this digest in an OCI registry. The digest of the manifest is checked before it is
 * parsed, size and digest of a layer before it is unpacked.
 * @throws CodeError.
 */
export async function fetchFromOci(
  target: FetchTarget,
  args: { source: OciSource; digest: string; environment: Readonly<Record<string, string | undefined>> },
): Promise<void> {
  const { source: access, environment } = args;
  const ground = { environment, signal: target.signal };
  await fromRegistry(async () => {
    await using repository = openOciRepository({ access, ground, push: false });
    const { manifestBytes } = target.limits;
    const bytes = await repository.readManifest({ digest: args.digest, mostBytes: manifestBytes });
    const tree = new TreeWriter(target.treeDir, target.limits);
    for (const layer of parseManifest(bytes, target.limits).layers)
      await addLayer(tree, { layer, target, repository });
    await tree.finish();
  });
}

async function addLayer(
  tree: TreeWriter,
  { layer, target, repository }: { layer: Layer; target: FetchTarget; repository: OciRepository },
): Promise<void> {
  const hex = layer.digest.slice("sha256:".length);
  const path = join(target.scratchDir, hex);
  const expected = { algorithm: "sha256", hex, sizeBytes: layer.size, mostBytes: layer.size } as const;
  await download(await repository.openBlob(layer.digest), { path, expected });
  await unpackArchive(tree, { path, packedBytes: layer.size, target });
}
