import { bringTree, type FetchedCode } from "./bring-tree.ts";
import type { CodeCache } from "./code-cache.ts";
import { type CodeRequest, cacheKey, parseDigest } from "./code-request.ts";
import { fetchFromGit } from "./git-fetch.ts";
import { type FetchTarget, fetchFromLayout } from "./oci-layout.ts";

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
  const { source } = request;
  const hex = parseDigest(request);
  if (source.kind === "git") return await fetchFromGit(target, { source, commit: hex, git: cache.git });
  return await fetchFromLayout(target, { layoutDir: source.path, hex });
}
