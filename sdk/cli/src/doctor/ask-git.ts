import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withoutPassword } from "../deployments/git.ts";
import { runGit } from "../deployments/git-program.ts";

/** How long a git server may be silent, seconds. */
const PATIENCE_S = 10;
const SAID_CHARS_MAX = 200;

/** A repository to check. */
export interface GitQuestion {
  readonly url: string;
  readonly login: { readonly username: string; readonly password: string } | undefined;
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Passes a login in the environment, because every user of the machine can see arguments. */
function settingsOf({ login }: GitQuestion): Record<string, string> {
  const patience = { GIT_HTTP_LOW_SPEED_LIMIT: "1", GIT_HTTP_LOW_SPEED_TIME: String(PATIENCE_S) };
  if (login === undefined) return { ...patience, GIT_CONFIG_COUNT: "0" };
  const basic = Buffer.from(`${login.username}:${login.password}`).toString("base64");
  return {
    ...patience,
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "http.extraHeader",
    GIT_CONFIG_VALUE_0: `Authorization: Basic ${basic}`,
  };
}

/** Why a repository cannot be read, and the next step if git's answer shows it. */
export interface GitFault {
  readonly what: string;
  readonly fix: string | null;
}

const OWNED_BY_ANOTHER =
  "run the worker as the owner of the folder, give the folder to the worker's user with `chown -R`, or serve the repository over https://. The worker does not read `safe.directory` of its user";

/** A file in the newest commit of a branch, and what is wrong with its text. */
export interface FileQuestion {
  readonly file: string;
  /** Undefined: the default branch. */
  readonly branch: string | undefined;
  /** Null: nothing is wrong. */
  readonly faultIn: (text: string) => string | null;
}

/** Reads a git repository's head. @returns Why it cannot be read, or null. */
export async function gitFault(question: GitQuestion): Promise<GitFault | null> {
  return await failureOf(question, ["ls-remote", "--", question.url, "HEAD"]);
}

/** Reads a file of a git repository, as a worker does. @returns Why it cannot be used, or null. */
export async function gitFileFault(question: GitQuestion, asked: FileQuestion): Promise<GitFault | null> {
  const { cwd, environment } = question;
  const { file, branch, faultIn } = asked;
  const folder = await mkdtemp(join(tmpdir(), "towpath-doctor-"));
  try {
    const chosen = branch === undefined ? [] : [`--branch=${branch}`];
    const clone = ["clone", "--bare", "--quiet", "--template=", "--depth=1", "--single-branch", "--no-tags"];
    const fault = await failureOf(question, [...clone, ...chosen, "--", question.url, folder]);
    if (fault !== null) return fault;
    const args = [`--git-dir=${folder}`, "cat-file", "blob", `HEAD:${file}`];
    const shown = await runGit({ args, cwd, environment }).catch(() => null);
    const what = shown?.code === 0 ? faultIn(shown.stdout) : "its newest commit does not have this file";
    return what === null ? null : { what: `${file} in ${withoutPassword(question.url)}: ${what}`, fix: null };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function failureOf(question: GitQuestion, args: readonly string[]): Promise<GitFault | null> {
  const { url, cwd } = question;
  const environment = { ...question.environment, ...settingsOf(question) };
  const answer = await runGit({ args, cwd, environment }).catch(() => null);
  if (answer?.code === 0) return null;
  if (answer?.stderr.includes("dubious ownership"))
    return {
      what: `${withoutPassword(url)} belongs to another user, so git does not read it (dubious ownership)`,
      fix: OWNED_BY_ANOTHER,
    };
  const said = answer?.stderr.trim().split("\n").at(-1) ?? "git is missing";
  const shown = withoutPassword(said).slice(0, SAID_CHARS_MAX);
  return { what: `${withoutPassword(url)} cannot be reached (${shown})`, fix: null };
}
