/** The start of a digest, enough to tell versions apart. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha(256|512):/, "").slice(0, 12);
}
