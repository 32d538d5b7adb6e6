export { bringTree, type FetchedCode } from "./bring-tree.ts";
export { type CodeCache, holdTree, openCodeCache, treePath, withoutTrees } from "./code-cache.ts";
export { CodeError } from "./code-error.ts";
export type { CodeRequest } from "./code-request.ts";
export { fetchCode } from "./fetch-code.ts";
export { type FileSource, fetchFile } from "./fetch-file.ts";
export { pruneCodeCache } from "./prune-code-cache.ts";
