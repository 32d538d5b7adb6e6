import { CodeError, type CodeErrorCode } from "./code-error.ts";
import type { GitResult } from "./git-process.ts";
import { type CheckedGitSource, redactOutput } from "./git-source.ts";

/** What git and its servers print. The first match decides. */
const SYMPTOMS: readonly { pattern: RegExp; code: CodeErrorCode; what: string }[] = [
  {
    pattern: /file too large|file size limit exceeded/i,
    code: "too-large",
    what: "The repository's pack is larger than the worker allows.",
  },
  {
    pattern: /host key verification failed|no .* host key is known/i,
    code: "bad-source",
    what: "The git server's host key is not one of this registry's knownHosts.",
  },
  {
    pattern: /permission denied \(|load key .*: |no supported authentication methods/i,
    code: "unauthorized",
    what: "The git server refused the worker's SSH key.",
  },
  {
    pattern: /cannot run ssh|ssh: (command )?not found|1: ssh: Permission denied/i,
    code: "ssh-missing",
    what: "The worker could not start ssh.",
  },
  {
    pattern: /authentication failed|could not read (username|password)|error: 40[13]\b|HTTP 40[13]\b/i,
    code: "unauthorized",
    what: "The git server refused the worker's credentials.",
  },
  {
    pattern: /dubious ownership/i,
    code: "unauthorized",
    what: "The repository's folder belongs to another user, so git does not read it. Give the folder to the worker's user, or serve the repository over https.",
  },
  {
    pattern: /permission denied/i,
    code: "unauthorized",
    what: "The worker's user may not read the repository.",
  },
  {
    pattern: /error: 30[1278]\b|HTTP 30[1278]\b/i,
    code: "bad-source",
    what: "The git server redirects. Credentials are never sent to another address, so configure the final url.",
  },
  {
    pattern: /transport .* not allowed/i,
    code: "bad-source",
    what: "The git registry's protocol is not allowed.",
  },
  {
    pattern: /mismatched algorithms|different object format/i,
    code: "bad-ref",
    what: "The commit id has another hash format than the repository.",
  },
  {
    pattern: /remote branch .* not found/i,
    code: "not-found",
    what: "The git repository has no such branch.",
  },
  {
    pattern: /repository .*not found|error: 404\b|does not appear to be a git repository|does not exist/i,
    code: "not-found",
    what: "The git server has no such repository, or does not show it to this worker.",
  },
];
const COMMIT_REFUSED =
  /not our ref|unadvertised object|no such remote ref|couldn't find remote ref|upload-pack: .*not valid|shallow capabilities/i;

/** Whether the server refused this one commit by its id. Then its branches and tags are worth a try. */
export function refusesCommit(result: GitResult): boolean {
  return result.exitCode !== 0 && COMMIT_REFUSED.test(result.stderr);
}

/** The error for a call of git that failed. */
export function gitFailure(result: GitResult, source: CheckedGitSource): CodeError {
  const output = redactOutput(result.stderr, source.secrets);
  const symptom = SYMPTOMS.find(({ pattern }) => pattern.test(result.stderr));
  if (symptom) return new CodeError(symptom.code, symptom.what, { output });
  return new CodeError("registry-unreachable", "git could not fetch from the code registry.", { output });
}
