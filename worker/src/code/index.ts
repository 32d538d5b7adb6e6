export { type CodeCache, openCodeCache } from "./code-cache.ts";
export { CodeError } from "./code-error.ts";
export type { CodeRequest } from "./code-request.ts";
export { type FetchedCode, fetchCode } from "./fetch-code.ts";
export { pruneCodeCache } from "./prune-code-cache.ts";
