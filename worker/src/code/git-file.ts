import { join } from "node:path";
import { CodeError } from "./code-error.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { gitFailure } from "./git-failure.ts";
import { gitCall } from "./git-fetch.ts";
import { type GitOptions, runGit, streamGit } from "./git-process.ts";
import { checkGitSource, type GitSource } from "./git-source.ts";
import { openSsh } from "./git-ssh.ts";

/**
 * Reads a file of the newest commit of a branch. Nothing is checked out, and no hook or filter runs.
 * @param target.scratchDir An empty folder. The caller removes it.
 * @throws CodeError; the signal's reason when aborted.
 */
export async function cloneFile(
  target: Pick<FetchTarget, "scratchDir" | "limits" | "signal">,
  request: {
    readonly git: GitOptions;
    readonly source: GitSource;
    readonly file: string;
    readonly branch: string | undefined;
    readonly mostBytes: number;
  },
): Promise<string> {
  const { git, file, branch, mostBytes } = request;
  const source = checkGitSource(request.source);
  const ssh = await openSsh(source, target.scratchDir);
  const repository = join(target.scratchDir, "repository.git");
  const chosen = branch === undefined ? [] : [`--branch=${branch}`];
  const clone = ["clone", "--bare", "--quiet", "--template=", "--depth=1", "--single-branch", "--no-tags"];
  const args = [...clone, ...chosen, "--", source.url, repository];
  const cloned = await runGit(git, gitCall(target, { source, ssh, args }));
  if (cloned.exitCode !== 0) throw gitFailure(cloned, source);
  const show = [`--git-dir=${repository}`, "cat-file", "blob", `HEAD:${file}`];
  let text = "";
  const shown = await streamGit(git, gitCall(target, { source, ssh, args: show }), async (output) => {
    text = await wholeText(output, mostBytes);
  });
  if (shown.exitCode === 0) return text;
  throw new CodeError("not-found", `The newest commit of the git repository has no file ${file}.`);
}

/** Text in UTF-8. @throws CodeError `too-large` beyond the limit. */
export async function wholeText(bytes: AsyncIterable<Uint8Array>, mostBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of bytes) {
    read += chunk.length;
    if (read > mostBytes) throw new CodeError("too-large", `The file is larger than ${mostBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
