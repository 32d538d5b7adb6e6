import { type OciAccess, openOciRepository } from "@towpath/contract/registries";
import type { CodeTree } from "./code-tree.ts";
import { imageOf } from "./oci-layout.ts";
import type { Pushed } from "./pushed.ts";
import { throughRegistry } from "./registry-failure.ts";

/** The digits of the digest in a tag, enough to tell images apart. */
const TAG_CHARS = 16;

/**
 * Pushes code to an OCI repository: blobs first, then the manifest, so that a reader never finds a manifest without its blobs. Each
 * image has a tag of its own, because registries remove images without a tag.
 * @throws Failure.
 */
export async function pushToOci(
  tree: CodeTree,
  to: {
    readonly access: OciAccess;
    readonly project: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<Pushed> {
  const { access, environment } = to;
  const image = await imageOf(tree);
  const tag = `${to.project}-${image.digest.slice("sha256:".length).slice(0, TAG_CHARS)}`;
  return await throughRegistry({ environment, address: access.url }, async (ground) => {
    await using repository = openOciRepository({ access, ground, push: true });
    let isNew = false;
    for (const [digest, bytes] of image.blobs)
      if (digest !== image.digest) isNew = (await repository.pushBlob(bytes)) || isNew;
    await repository.pushManifest({ bytes: image.manifest, tag });
    return { digest: image.digest, isNew };
  });
}
