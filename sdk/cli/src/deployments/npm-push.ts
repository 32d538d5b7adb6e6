import { createHash } from "node:crypto";
import { NPM_CODE_FOLDER, type NpmAccess, openNpmPackage } from "@towpath/contract/registries";
import type { CodeTree } from "./code-tree.ts";
import { layerOf } from "./oci-layout.ts";
import type { Pushed } from "./pushed.ts";
import { throughRegistry } from "./registry-failure.ts";

/** The digits of the code's hash in a version, enough to tell versions apart. */
const VERSION_CHARS = 40;

interface NpmTarball {
  readonly version: string;
  readonly manifest: object;
  readonly tarball: Buffer;
  /** SHA-512 of the tarball. */
  readonly digest: string;
}

/** The tarball of a code tree. Its version comes from the code, so that the same code is the same version. */
async function tarballOf(tree: CodeTree, name: string): Promise<NpmTarball> {
  const code = createHash("sha256")
    .update(await layerOf(tree))
    .digest("hex");
  // A part of a version with digits alone may not begin with a zero.
  const version = `0.0.0-c${code.slice(0, VERSION_CHARS)}`;
  const description = "Code of a Towpath project. It is not a library.";
  const manifest = { name, version, description, dependencies: {} };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  const tarball = await layerOf([
    { path: "package/package.json", bytes: new TextEncoder().encode(text), executable: false },
    ...tree.map((file) => ({ ...file, path: `${NPM_CODE_FOLDER}/${file.path}` })),
  ]);
  const digest = `sha512:${createHash("sha512").update(tarball).digest("hex")}`;
  return { version, manifest, tarball, digest };
}

/** The version and digest of a code tree in an npm registry. */
export async function npmPin(tree: CodeTree, name: string): Promise<{ version: string; digest: string }> {
  const { version, digest } = await tarballOf(tree, name);
  return { version, digest };
}

/** Publishes code as a version of a package, unless the registry has it. @throws Failure. */
export async function pushToNpm(
  tree: CodeTree,
  to: {
    readonly access: NpmAccess;
    readonly project: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<Pushed> {
  const { access, environment } = to;
  const { version, manifest, tarball, digest } = await tarballOf(tree, access.package);
  const isNew = await throughRegistry({ environment, address: access.url }, async (ground) => {
    await using opened = openNpmPackage(access, ground);
    // The tag `latest` is for people. A tag may not look like a version.
    return await opened.publish({ version, tag: `towpath-${to.project}`, tarball, manifest });
  });
  return { digest, version, isNew };
}
