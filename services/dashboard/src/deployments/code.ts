import type { DeploymentVersion } from "@towpath/contract";

/** So much of a digest tells versions apart on a screen. */
const DIGEST_CHARS = 8;

/** Where a version's code is, short: the registry and the beginning of the digest. */
export function codeText(code: DeploymentVersion["code"]): string {
  return `${code.registry}@${code.digest.replace(/^sha256:/, "").slice(0, DIGEST_CHARS)}`;
}

/** What a version runs. */
export function entryText(entry: DeploymentVersion["entry"]): string {
  return entry.kind === "flow" ? `${entry.module} → ${entry.export}` : entry.argv.join(" ");
}
