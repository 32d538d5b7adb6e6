import { join } from "node:path";
import { NPM_CODE_FOLDER, openNpmPackage } from "@towpath/contract/registries";
import type { CodeSource } from "./code-request.ts";
import { download, fromRegistry } from "./download.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { TreeWriter } from "./tree-writer.ts";
import { unpackArchive } from "./unpack.ts";

/** A package of an npm registry, as configured. */
export type NpmSource = Extract<CodeSource, { kind: "npm" }>;

/**
 * Writes the code in the tarball of one version. Its SHA-512 is checked before it is unpacked. No script of the package runs, and
 * its dependencies are not installed: the code is bundled.
 * @throws CodeError.
 */
export async function fetchFromNpm(
  target: FetchTarget,
  args: {
    source: NpmSource;
    version: string;
    hex: string;
    environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<void> {
  const { source, version, hex, environment } = args;
  const { limits, signal } = target;
  await fromRegistry(async () => {
    await using found = openNpmPackage(source, { environment, signal });
    const path = join(target.scratchDir, "package.tgz");
    const expected = { algorithm: "sha512", hex, mostBytes: limits.packedBytes } as const;
    const packedBytes = await download(await found.open({ version, hex }), { path, expected });
    const tree = new TreeWriter(target.treeDir, limits);
    await unpackArchive(tree, { path, packedBytes, target, under: NPM_CODE_FOLDER });
    await tree.finish();
  });
}
