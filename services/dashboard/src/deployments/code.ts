import type { DeploymentVersion } from "@towpath/contract";

/** Characters of a digest that are enough to tell versions apart. */
const DIGEST_CHARS = 8;

/** The location of a version's code: the registry and the start of the digest. */
export function codeText(code: DeploymentVersion["code"]): string {
  return `${code.registry}@${code.digest.replace(/^sha256:/, "").slice(0, DIGEST_CHARS)}`;
}
