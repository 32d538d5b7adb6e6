export { type CodeCache, type CodeCacheOptions, openCodeCache } from "./code-cache.ts";
export { CODE_ERRORS, CodeError, type CodeErrorCode } from "./code-error.ts";
export type { CodeRequest, CodeSource } from "./code-request.ts";
export { type FetchedCode, fetchCode } from "./fetch-code.ts";
export type { GitOptions } from "./git-process.ts";
export { type CodeLimits, DEFAULT_CODE_LIMITS } from "./limits.ts";
export { type PrunePolicy, pruneCodeCache } from "./prune-code-cache.ts";
