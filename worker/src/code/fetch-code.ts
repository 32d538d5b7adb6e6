import { fetchArchive } from "./archive-registry.ts";
import { bringTree, type FetchedCode } from "./bring-tree.ts";
import type { CodeCache } from "./code-cache.ts";
import { type CodeRequest, cacheKey, parseDigest } from "./code-request.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { fetchFromGit } from "./git-fetch.ts";
import { fetchFromNpm } from "./npm-registry.ts";
import { fetchFromLayout } from "./oci-layout.ts";
import { fetchFromOci } from "./oci-registry.ts";

/**
 * Brings code into the cache, or finds it there.
 * @throws as `bringTree`.
 */
export async function fetchCode(
  cache: CodeCache,
  request: CodeRequest,
  signal: AbortSignal,
): Promise<FetchedCode> {
  const key = cacheKey(request);
  return await bringTree(cache, { key, make: (target) => fetchFrom(cache, request, target) }, signal);
}

async function fetchFrom(cache: CodeCache, request: CodeRequest, target: FetchTarget): Promise<void> {
  const { source, digest } = request;
  const { environment } = cache;
  const hex = parseDigest(request);
  switch (source.kind) {
    case "oci-layout":
      return await fetchFromLayout(target, { layoutDir: source.path, hex });
    case "oci":
      return await fetchFromOci(target, { source, digest, environment });
    case "s3":
    case "archive":
      return await fetchArchive(target, { source, hex, environment });
    case "npm":
      return await fetchFromNpm(target, { source, version: request.version ?? "", hex, environment });
    case "git":
      return await fetchFromGit(target, { source, commit: hex, git: cache.git });
  }
}
