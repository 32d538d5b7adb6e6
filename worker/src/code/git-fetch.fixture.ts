import { mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { type CodeCache, openCodeCache } from "./code-cache.ts";
import type { CodeSource } from "./code-request.ts";
import { fetchCode } from "./fetch-code.ts";
import type { GitOptions } from "./git-process.ts";
import { GitServer, type GitServerOptions, git } from "./git-server.fixture.ts";
import type { CodeLimits } from "./limits.ts";
import { removeTree } from "./seal-tree.ts";

/** A signal that never fires. */
export const never = new AbortController().signal;
/** Credentials with characters that need escaping. */
export const PASSWORD = "s3cret:pass+word/é";
/** The user name for `PASSWORD`. */
export const USERNAME = "deployer";
/** A folder of the test file, and the servers to stop after each test. */
export let root: string;
let made = 0;
/** Servers to stop after each test. */
export const servers: GitServer[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-git-"));
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});
afterAll(() => removeTree(root));

/** A new cache. */
export async function openCache(
  args: { limits?: Partial<CodeLimits>; git?: GitOptions } = {},
): Promise<CodeCache> {
  const path = process.env.PATH ?? "";
  const { limits = {}, git: options = {} } = args;
  return await openCodeCache({
    dir: join(root, `cache-${made++}`),
    limits,
    git: { ...options, env: { PATH: path, ...options.env } },
  });
}

/** A repository with one commit for each set of files. Returns the directory and the commits. */
export async function makeRepository(
  commits: readonly Record<string, string | Uint8Array>[],
  more: { objectFormat?: string } = {},
): Promise<{ name: string; dir: string; shas: string[] }> {
  const name = `repository-${made++}`;
  const dir = join(root, "served", name);
  await mkdir(dir, { recursive: true });
  git(dir, "init", "--quiet", "--initial-branch=main", `--object-format=${more.objectFormat ?? "sha1"}`);
  const shas: string[] = [];
  for (const files of commits) {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(dir, path, ".."), { recursive: true });
      await writeFile(join(dir, path), content);
    }
    shas.push(commitAll(dir));
  }
  return { name: `${name}/.git`, dir, shas };
}

/** Commits everything in a folder and returns the commit. */
export function commitAll(dir: string): string {
  git(dir, "add", "--all", "--force");
  git(dir, "commit", "--quiet", "--allow-empty", "--message", "change");
  return git(dir, "rev-parse", "HEAD");
}

/** A git server over HTTP for all repositories here. */
export async function serve(options: Partial<GitServerOptions> = {}): Promise<GitServer> {
  const server = await GitServer.start({ root: join(root, "served"), ...options });
  servers.push(server);
  return server;
}

/** Why a fetch fails. Nothing of it may stay in the cache. */
export async function failure(
  source: CodeSource,
  digest: string,
  options: { limits?: Partial<CodeLimits>; git?: GitOptions } = {},
): Promise<unknown> {
  const cache = await openCache(options);
  const error: unknown = await fetchCode(cache, { source, digest }, never).then(
    () => "it was fetched",
    (reason: unknown) => reason,
  );
  expect((await readdir(cache.dir)).sort()).toEqual([".holds", ".making", ".seals"]);
  expect(await readdir(join(cache.dir, ".making"))).toEqual([]);
  return error;
}
