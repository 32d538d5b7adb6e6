import { rm } from "node:fs/promises";
import { openHttpArchives, openS3Archives } from "@towpath/contract/registries";
import { type CodeCache, makeWorkspace } from "./code-cache.ts";
import type { CodeSource } from "./code-request.ts";
import { fromRegistry } from "./download.ts";
import { cloneFile, wholeText } from "./git-file.ts";

/** Where single files may be read from: an address, with its login. */
export type FileSource = Extract<CodeSource, { kind: "git" | "s3" | "archive" }>;

/** Which file. */
export interface FileRequest {
  readonly source: FileSource;
  /** Its path below the address, with `/`. */
  readonly file: string;
  /** The branch of a git repository. Undefined: the default branch. */
  readonly branch: string | undefined;
  readonly mostBytes: number;
}

/**
 * Reads one text file as it is now. Credentials, proxies, redirects and limits are those of code registries. The text is unchecked.
 * @throws CodeError; the signal's reason when aborted.
 */
export async function fetchFile(
  cache: CodeCache,
  request: FileRequest,
  signal: AbortSignal,
): Promise<string> {
  const { source } = request;
  if (source.kind !== "git")
    return await fromRegistry(() => fromAddress(cache, { ...request, source }, signal));
  const scratchDir = await makeWorkspace(cache);
  try {
    const { git, limits } = cache;
    return await cloneFile({ scratchDir, limits, signal }, { ...request, source, git });
  } finally {
    await rm(scratchDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

async function fromAddress(
  { environment }: CodeCache,
  request: FileRequest & { readonly source: Exclude<FileSource, { kind: "git" }> },
  signal: AbortSignal,
): Promise<string> {
  const { source, file, mostBytes } = request;
  const ground = { environment, signal };
  await using opened =
    source.kind === "s3" ? openS3Archives(source, ground) : openHttpArchives(source, ground);
  const answer = await opened.file(file);
  try {
    return await wholeText(answer.bytes(), mostBytes);
  } finally {
    answer.discard();
  }
}
