import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodeError } from "./code-error.ts";
import type { FetchTarget } from "./fetch-target.ts";
import { gitFailure, refusesCommit } from "./git-failure.ts";
import {
  type GitCall,
  type GitOptions,
  type GitResult,
  runGit,
  streamGit,
  ULIMIT_BLOCK_BYTES,
} from "./git-process.ts";
import { type CheckedGitSource, checkGitSource, type GitSource } from "./git-source.ts";
import { openSsh } from "./git-ssh.ts";
import { readTar } from "./read-archive.ts";
import { TreeWriter } from "./tree-writer.ts";

/** Set for every call, above the configuration of a repository. */
const CONFIG = [
  "protocol.allow=never",
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "credential.helper=",
  // A redirect could lead the credentials to another host.
  "http.followRedirects=false",
  "http.lowSpeedLimit=1",
  "http.lowSpeedTime=60",
  "submodule.recurse=false",
  "fetch.recurseSubmodules=false",
  // Keeps what is fetched as one pack, so that the limit on file sizes limits the fetch.
  "fetch.unpackLimit=1",
  "core.bigFileThreshold=16m",
  "gc.auto=0",
  "maintenance.auto=false",
] as const;

/*
 * `git archive` obeys the attributes in the tree: it would leave files out, put text into others, change line ends and run
 * filters. This file outranks them, so that what is run is byte for byte what the commit holds.
 */
const ATTRIBUTES = "* -text !eol -ident -filter !working-tree-encoding -export-ignore -export-subst -crlf\n";

const FETCH = [
  "fetch",
  "--no-tags",
  "--no-recurse-submodules",
  "--no-write-fetch-head",
  "--no-auto-gc",
] as const;
const ALL_REFS = ["+refs/heads/*:refs/fetched/heads/*", "+refs/tags/*:refs/fetched/tags/*"] as const;
const SHA1_HEX_LENGTH = 40;

/**
 * Writes the tree of one commit. Nothing is ever checked out: the commit's tree goes through `git archive` into
 * the same checks as any other archive. Submodules stay empty directories and LFS files stay pointers.
 * @throws CodeError.
 */
export async function fetchFromGit(
  target: FetchTarget,
  options: { source: GitSource; commit: string; git: GitOptions },
): Promise<void> {
  const source = checkGitSource(options.source);
  const repository = join(target.scratchDir, "repository.git");
  const ssh = await openSsh(source, target.scratchDir);
  const run = (args: readonly string[]) => runGit(options.git, gitCall(target, { source, ssh, args }));
  const objectFormat = options.commit.length === SHA1_HEX_LENGTH ? "sha1" : "sha256";
  mustSucceed(
    await run([
      "init",
      "--bare",
      "--quiet",
      "--template=",
      `--object-format=${objectFormat}`,
      "--",
      repository,
    ]),
    source,
  );
  const inRepository = (args: readonly string[]) => run([`--git-dir=${repository}`, ...args]);
  await fetchCommit(inRepository, { source, commit: options.commit }).catch(async (error: unknown) => {
    await refuseIfCapped(repository, { maxFileBytes: target.limits.packedBytes, error });
    throw error;
  });
  await checkCommit(inRepository, options.commit);
  await mkdir(join(repository, "info"), { recursive: true });
  await writeFile(join(repository, "info", "attributes"), ATTRIBUTES);
  const tree = new TreeWriter(target.treeDir, target.limits);
  const args = [`--git-dir=${repository}`, "archive", "--format=tar", options.commit];
  const archived = await streamGit(options.git, gitCall(target, { source, ssh, args }), (bytes) =>
    readTar(tree, { bytes, signal: target.signal }),
  );
  mustSucceed(archived, source);
  await tree.finish();
}

type RunInRepository = (args: readonly string[]) => Promise<GitResult>;

async function fetchCommit(
  run: RunInRepository,
  args: { source: CheckedGitSource; commit: string },
): Promise<void> {
  const one = await run([...FETCH, "--depth=1", "--", args.source.url, args.commit]);
  if (one.exitCode === 0) return;
  if (!refusesCommit(one)) throw gitFailure(one, args.source);
  // Older servers only serve what a branch or a tag points at, so those are fetched whole.
  mustSucceed(await run([...FETCH, "--", args.source.url, ...ALL_REFS]), args.source);
}

/** A pack that reached the limit explains the failure. Git itself, killed by SIGXFSZ, does not. */
async function refuseIfCapped(
  repository: string,
  args: { maxFileBytes: number; error: unknown },
): Promise<void> {
  const packs = join(repository, "objects", "pack");
  for (const name of await readdir(packs)) {
    const { size } = await stat(join(packs, name));
    if (size <= args.maxFileBytes - ULIMIT_BLOCK_BYTES) continue;
    const what = `The repository's pack is larger than ${args.maxFileBytes} bytes.`;
    throw new CodeError("too-large", what, { cause: args.error });
  }
}

async function checkCommit(run: RunInRepository, commit: string): Promise<void> {
  const type = await run(["cat-file", "-t", commit]);
  if (type.exitCode !== 0) {
    throw new CodeError("not-found", `No branch or tag of the git repository has commit ${commit}.`);
  }
  if (type.stdout.trim() !== "commit") {
    throw new CodeError(
      "bad-ref",
      `${commit} is a ${type.stdout.trim()} in the git repository, not a commit.`,
    );
  }
  const parsed = await run(["rev-parse", "--verify", "--quiet", "--end-of-options", `${commit}^{commit}`]);
  if (parsed.stdout.trim() !== commit) {
    throw new CodeError("digest-mismatch", `The git repository returned another commit than ${commit}.`);
  }
}

/** A call of git for a checked registry, without the configuration of the user or the system. */
export function gitCall(
  target: Pick<FetchTarget, "scratchDir" | "limits" | "signal">,
  options: {
    source: CheckedGitSource;
    /** The variables by which git starts ssh. */
    ssh: Readonly<Record<string, string>>;
    args: readonly string[];
  },
): GitCall {
  const config = [...CONFIG, `protocol.${options.source.protocol}.allow=always`].flatMap((entry) => [
    "-c",
    entry,
  ]);
  return {
    args: [...config, ...options.args],
    cwd: target.scratchDir,
    env: { ...headerEnv(options.source.headers), ...options.ssh },
    maxFileBytes: target.limits.packedBytes,
    signal: target.signal,
  };
}

/** Headers travel as configuration in the environment: every user of the host can see arguments, and files would stay. */
function headerEnv(headers: readonly string[]): Record<string, string> {
  const env: Record<string, string> = { GIT_CONFIG_COUNT: String(headers.length) };
  headers.forEach((header, index) => {
    env[`GIT_CONFIG_KEY_${index}`] = "http.extraHeader";
    env[`GIT_CONFIG_VALUE_${index}`] = header;
  });
  return env;
}

function mustSucceed(result: GitResult, source: CheckedGitSource): void {
  if (result.exitCode !== 0) throw gitFailure(result, source);
}
