import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "../failure.ts";
import type { CodeTree } from "./code-tree.ts";
import { runGit } from "./git-program.ts";

/** Where a project's code is pushed with git. */
export interface GitTarget {
  readonly url: string;
  readonly project: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For http(s) remotes with basic authentication. */
  readonly login?: { readonly username: string; readonly password: string } | undefined;
  /** Creates the commit and returns its id, but pushes nothing. */
  readonly dryRun?: boolean;
}

/** How often a push is repeated after a conflict. */
const PUSHES_MAX = 3;
const IDENTITY = "Towpath <towpath@localhost> 0 +0000";

/** Settings for one call, in the environment: arguments would show a password in the list of processes. */
function settingsOf(target: GitTarget): Record<string, string | undefined> {
  const settings: [string, string][] = [
    ["core.hooksPath", "/dev/null"],
    ["core.autocrlf", "false"],
    ["gc.auto", "0"],
  ];
  if (target.login) {
    const { username, password } = target.login;
    const basic = Buffer.from(`${username}:${password}`).toString("base64");
    settings.push(["http.extraHeader", `Authorization: Basic ${basic}`]);
  }
  const pairs = settings.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return { ...target.environment, ...Object.fromEntries(pairs), GIT_CONFIG_COUNT: String(settings.length) };
}

function gitFailure(what: string, target: GitTarget, stderr: string): Failure {
  const said = stderr
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-3);
  return new Failure(`${what} ${withoutPassword(target.url)}.`, {
    exit: "unreachable",
    code: "git",
    next: [...said.map((line) => `git: ${line.trim()}`), "check the address and your permission to push"],
  });
}

/** An address without its password, for messages. */
export function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^/@:]*):[^/@]*@/, "$1:***@");
}

/** The commit as a stream for `git fast-import`: without a shell or files on disk. */
function* importStream(tree: CodeTree, args: { ref: string; parent: string | null; project: string }) {
  const message = `Code of ${args.project}\n`;
  yield `commit ${args.ref}\nauthor ${IDENTITY}\ncommitter ${IDENTITY}\n`;
  yield `data ${Buffer.byteLength(message)}\n${message}`;
  if (args.parent !== null) yield `from ${args.parent}\n`;
  yield "deleteall\n";
  for (const { path, bytes, executable } of tree) {
    // Git's C-style quoting: only these characters can end or change a quoted path.
    const quoted = path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
    yield `M ${executable ? "100755" : "100644"} inline "${quoted}"\ndata ${bytes.length}\n`;
    yield bytes;
    yield "\n";
  }
  yield "done\n";
}

type Git = (args: readonly string[], input?: Iterable<Uint8Array | string>) => ReturnType<typeof runGit>;

async function tipOf(git: Git, target: GitTarget, branch: string): Promise<string | null> {
  const listed = await git(["ls-remote", "--", target.url, branch]);
  if (listed.code !== 0) throw gitFailure("git cannot read", target, listed.stderr);
  const [tip] = /^[0-9a-f]{40,64}(?=\t)/.exec(listed.stdout) ?? [];
  if (tip === undefined) return null;
  const fetched = await git(["fetch", "--quiet", "--depth=1", "--", target.url, `+${branch}:refs/tip`]);
  if (fetched.code !== 0) throw gitFailure("git cannot fetch from", target, fetched.stderr);
  return tip;
}

async function treeIdOf(git: Git, commit: string): Promise<string> {
  return (await git(["rev-parse", "--verify", `${commit}^{tree}`])).stdout.trim();
}

/** Commits on top of the branch's tip and pushes once. Null if somebody else pushed in between. */
async function tryPush(
  git: Git,
  target: GitTarget,
  tree: CodeTree,
): Promise<{ digest: string; isNew: boolean } | null> {
  const { project } = target;
  const branch = `refs/heads/towpath/${project}`;
  const parent = await tipOf(git, target, branch);
  const ref = "refs/heads/code";
  const imported = await git(
    ["fast-import", "--quiet", "--force", "--done"],
    importStream(tree, { ref, parent, project }),
  );
  if (imported.code !== 0) throw gitFailure("git cannot write the commit for", target, imported.stderr);
  if (parent !== null && (await treeIdOf(git, ref)) === (await treeIdOf(git, parent)))
    return { digest: parent, isNew: false };
  const commit = (await git(["rev-parse", "--verify", `${ref}^{commit}`])).stdout.trim();
  if (target.dryRun) return { digest: commit, isNew: true };
  const lease = `--force-with-lease=${branch}:${parent ?? ""}`;
  const pushed = await git(["push", "--quiet", lease, "--", target.url, `${commit}:${branch}`]);
  if (pushed.code === 0) return { digest: commit, isNew: true };
  if (/stale info|fetch first|cannot lock ref|already exists/.test(pushed.stderr)) return null;
  throw gitFailure("git cannot push to", target, pushed.stderr);
}

/**
 * Pushes code to the branch `towpath/PROJECT` of a git remote, on top of its tip, from a temporary repository. Author and date
 * are fixed, so that the same tree on the same parent is the same commit. A tree that is already the branch's tip is not
 * committed again.
 * @returns The commit's full id, and whether it was pushed now.
 */
export async function pushToGit(
  tree: CodeTree,
  target: GitTarget,
): Promise<{ digest: string; isNew: boolean }> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-git-"));
  const environment = settingsOf(target);
  const git: Git = (args, input) => runGit({ args, cwd: folder, environment, ...(input ? { input } : {}) });
  try {
    const made = await git(["init", "--quiet", "--bare"]);
    if (made.code !== 0)
      throw gitFailure("git cannot create a temporary repository to push to", target, made.stderr);
    for (let push = 0; push < PUSHES_MAX; push++) {
      const pushed = await tryPush(git, target, tree);
      if (pushed !== null) return pushed;
    }
    throw gitFailure("The push failed several times, because somebody else is pushing to", target, "");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
